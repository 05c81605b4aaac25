//! What a code to a telephone number is worth: docs/adr/0005, line by line.

use super::*;

const NUMBER: [u8; 32] = [1; 32];
const RIGHT: [u8; 32] = [2; 32];
const WRONG: [u8; 32] = [3; 32];
const DAY: u64 = 24 * 60 * 60 * 1000;

fn rules() -> PhoneRules {
    PhoneRules { codes_a_day: 5, code_lifetime_ms: 600_000, guesses: 5, resend_ms: 30_000, waiting_ms: 7 * DAY }
}

/// Somebody whose ids are all made of one byte.
fn newcomer(byte: u8) -> Newcomer {
    Newcomer {
        user: UserId::from_bytes([byte; 16]),
        name: None,
        identity_key: [byte; 32],
        only: None,
        device: enrolment(DeviceId::from_bytes([byte; 16])),
    }
}

struct Phone {
    world: World,
    codes: u8,
}

impl Phone {
    fn new() -> Self {
        Self { world: World::new(), codes: 0 }
    }

    fn pass(&mut self, millis: u64) {
        self.world.now = self.world.now.plus_millis(millis);
    }

    fn ask(&mut self) -> Result<([u8; 16], u64), Refusal> {
        self.codes += 1;
        let challenge = [self.codes; 16];
        let new = NewCode { number: NUMBER, challenge, code: RIGHT };
        let (asked, _) = self.world.relay.call(self.world.now, |accounts| accounts.new_code(&new, &rules())).unwrap();
        asked.map(|resend| (challenge, resend))
    }

    /// A code, on another day than the last.
    fn code(&mut self) -> [u8; 16] {
        self.pass(DAY);
        self.ask().unwrap().0
    }

    fn show(&mut self, challenge: [u8; 16], code: [u8; 32], pin: Option<&str>, fresh: bool, new: &Newcomer) -> Got {
        let shown = CodeShown { challenge, code, has_pin: pin.is_some(), fresh };
        let now = self.world.now;
        let (step, _) = self.world.relay.call(now, |accounts| accounts.show_code(&shown, new, &rules())).unwrap();
        let to_verify = step.map_err(|refusal| refusal.code)?;
        // The tests' hash of a PIN is the PIN.
        let verified = to_verify.filter(|to_verify| Some(to_verify.hash.as_str()) == pin).map(|right| right.hash);
        let enrol =
            |accounts: &mut Accounts<'_, '_>| accounts.enrol_by_code(&shown, verified.as_deref(), new, &rules());
        let (enrolled, _) = self.world.relay.call(now, enrol).unwrap();
        enrolled.map(|known| known.user).map_err(|refusal| refusal.code)
    }

    fn enrol(&mut self, challenge: [u8; 16], new: &Newcomer) -> Got {
        self.show(challenge, RIGHT, None, false, new)
    }

    fn set_pin(&mut self, user: UserId, pin: Option<&str>) {
        self.world.relay.call(self.world.now, |accounts| accounts.set_pin(user, pin)).unwrap();
    }

    fn devices(&mut self, user: UserId) -> usize {
        self.world.relay.call(self.world.now, |accounts| accounts.devices(user)).unwrap().0.len()
    }

    /// Cleo has the number, and a device.
    fn with_cleo() -> (Self, UserId) {
        let mut phone = Self::new();
        let challenge = phone.code();
        let cleo = phone.enrol(challenge, &newcomer(0xC)).unwrap();
        assert_eq!(cleo, newcomer(0xC).user);
        (phone, cleo)
    }
}

type Got = Result<UserId, ErrorCode>;

#[test]
fn a_repeat_is_harmless_and_a_code_serves_one_device() {
    let mut phone = Phone::new();
    let challenge = phone.code();
    for _ in 0..2 {
        assert_eq!(phone.enrol(challenge, &newcomer(0xC)), Ok(newcomer(0xC).user));
    }
    assert_eq!(phone.enrol(challenge, &newcomer(0xD)), Err(ErrorCode::InvalidCode), "used");
    assert_eq!(phone.devices(newcomer(0xC).user), 1);
    // The answer was lost, and the code is too old by now: another one, the same device.
    let challenge = phone.code();
    assert_eq!(phone.enrol(challenge, &newcomer(0xC)), Ok(newcomer(0xC).user));
    assert_eq!(phone.devices(newcomer(0xC).user), 1);
}

#[test]
fn guesses_are_counted_and_codes_age() {
    let mut phone = Phone::new();
    let challenge = phone.code();
    let cleo = newcomer(0xC);
    for _ in 0..4 {
        assert_eq!(phone.show(challenge, WRONG, None, false, &cleo), Err(ErrorCode::InvalidCode));
    }
    assert_eq!(phone.show(challenge, WRONG, None, false, &cleo), Err(ErrorCode::AttemptsExhausted));
    assert_eq!(phone.enrol(challenge, &cleo), Err(ErrorCode::AttemptsExhausted), "though it is right");
    assert_eq!(phone.enrol([99; 16], &cleo), Err(ErrorCode::InvalidCode), "no such challenge");
    let challenge = phone.code();
    phone.pass(600_000);
    assert_eq!(phone.enrol(challenge, &cleo), Err(ErrorCode::InvalidCode), "too old");
    let (older, newer) = (phone.code(), {
        phone.pass(30_000);
        phone.ask().unwrap().0
    });
    assert_eq!(phone.enrol(older, &cleo), Err(ErrorCode::InvalidCode), "replaced");
    // Nothing of it is forgotten in a crash.
    assert_eq!(phone.show(newer, WRONG, None, false, &cleo), Err(ErrorCode::InvalidCode));
    phone.world.crash(true);
    for _ in 0..3 {
        assert_eq!(phone.show(newer, WRONG, None, false, &cleo), Err(ErrorCode::InvalidCode));
    }
    assert_eq!(phone.show(newer, WRONG, None, false, &cleo), Err(ErrorCode::AttemptsExhausted));
}

#[test]
fn further_codes_wait_longer_and_a_day_has_so_many() {
    let mut phone = Phone::new();
    for expected in [30_000, 60_000, 120_000, 240_000] {
        let (_, resend) = phone.ask().unwrap();
        assert_eq!(resend, expected);
        phone.pass(resend - 1);
        let refusal = phone.ask().unwrap_err();
        assert_eq!((refusal.code, refusal.retry_after_ms), (ErrorCode::RateLimited, 1));
        phone.pass(1);
    }
    let (_, resend) = phone.ask().unwrap();
    assert_eq!(resend, DAY - 450_000, "the fifth is the last of the day");
    phone.pass(resend);
    assert_eq!(phone.ask().unwrap().1, 30_000);
    let (challenge, _) = {
        phone.pass(30_000);
        phone.ask().unwrap()
    };
    phone.world.relay.call(phone.world.now, |accounts| accounts.code_was_not_sent(challenge)).unwrap();
    assert!(phone.enrol(challenge, &newcomer(0xC)).is_err(), "it never left");
    assert_eq!(phone.ask().unwrap_err().retry_after_ms, 30_000, "and is not counted");
}

#[test]
fn an_account_in_use_without_a_pin_is_not_taken_over() {
    let (mut phone, cleo) = Phone::with_cleo();
    let challenge = phone.code();
    assert_eq!(phone.enrol(challenge, &newcomer(0xD)), Err(ErrorCode::WaitingPeriod));
    // A device that is connected is in use for as long as it is, however long ago it came.
    let (session, _) = phone.world.attach(newcomer(0xC).device.device);
    phone.pass(30 * DAY);
    let challenge = phone.code();
    assert_eq!(phone.enrol(challenge, &newcomer(0xD)), Err(ErrorCode::WaitingPeriod));
    phone.world.work(session, Op::Detach);
    let challenge = phone.code();
    let shown = CodeShown { challenge, code: RIGHT, has_pin: false, fresh: false };
    let show = |accounts: &mut Accounts<'_, '_>| accounts.show_code(&shown, &newcomer(0xD), &rules());
    let refusal = phone.world.relay.call(phone.world.now, show).unwrap().0.unwrap_err();
    assert_eq!(u64::from(refusal.retry_after_ms), 6 * DAY, "a day has passed");
    phone.pass(6 * DAY);
    let challenge = phone.code();
    assert_eq!(phone.enrol(challenge, &newcomer(0xD)), Ok(newcomer(0xD).user), "the number has gone to somebody new");
    assert_eq!(phone.devices(cleo), 1, "whose account stays as it was");
    assert_eq!(phone.world.count("phone"), 1);
}

#[test]
fn a_pin_lets_a_further_device_in_at_any_time() {
    let (mut phone, cleo) = Phone::with_cleo();
    phone.set_pin(cleo, Some("2468"));
    let challenge = phone.code();
    assert_eq!(phone.enrol(challenge, &newcomer(0xD)), Err(ErrorCode::PinNeeded));
    assert_eq!(phone.show(challenge, RIGHT, Some("1357"), false, &newcomer(0xD)), Err(ErrorCode::WrongPin));
    assert_eq!(phone.show(challenge, RIGHT, Some("2468"), false, &newcomer(0xD)), Ok(cleo));
    assert_eq!(phone.devices(cleo), 2);
    phone.pass(30 * DAY);
    let challenge = phone.code();
    assert_eq!(phone.enrol(challenge, &newcomer(0xE)), Err(ErrorCode::PinNeeded), "though nobody was there for long");
    assert_eq!(phone.show(challenge, RIGHT, Some("2468"), false, &newcomer(0xE)), Ok(cleo));
    phone.set_pin(cleo, None);
    let challenge = phone.code();
    assert_eq!(phone.enrol(challenge, &newcomer(0xF)), Err(ErrorCode::WaitingPeriod));
}

#[test]
fn guesses_at_a_pin_wait() {
    let (mut phone, cleo) = Phone::with_cleo();
    phone.set_pin(cleo, Some("2468"));
    let mut challenge = phone.code();
    let mut guess = |phone: &mut Phone, pin: &str| {
        // A right code may be shown as often as it is in time.
        if phone.enrol(challenge, &newcomer(0xD)) == Err(ErrorCode::InvalidCode) {
            challenge = phone.code();
        }
        phone.show(challenge, RIGHT, Some(pin), false, &newcomer(0xD))
    };
    for _ in 0..4 {
        assert_eq!(guess(&mut phone, "1357"), Err(ErrorCode::WrongPin));
    }
    assert_eq!(guess(&mut phone, "2468"), Err(ErrorCode::AttemptsExhausted), "right or wrong is not told");
    phone.pass(60_000);
    assert_eq!(guess(&mut phone, "1357"), Err(ErrorCode::WrongPin));
    phone.pass(60_000);
    phone.world.crash(true);
    assert_eq!(guess(&mut phone, "2468"), Err(ErrorCode::AttemptsExhausted), "two minutes by now");
    phone.pass(60_000);
    assert_eq!(guess(&mut phone, "2468"), Ok(cleo));
    for _ in 0..4 {
        let challenge = phone.code();
        assert_eq!(
            phone.show(challenge, RIGHT, Some("1357"), false, &newcomer(0xE)),
            Err(ErrorCode::WrongPin),
            "forgiven"
        );
    }
}

#[test]
fn a_lost_pin_costs_the_account_and_not_the_number() {
    let (mut phone, cleo) = Phone::with_cleo();
    phone.set_pin(cleo, Some("2468"));
    let challenge = phone.code();
    assert_eq!(phone.show(challenge, RIGHT, None, true, &newcomer(0xD)), Err(ErrorCode::WaitingPeriod));
    phone.pass(7 * DAY);
    let challenge = phone.code();
    assert_eq!(phone.show(challenge, RIGHT, None, true, &newcomer(0xD)), Ok(newcomer(0xD).user));
    assert_eq!((phone.devices(cleo), phone.world.count("pin")), (1, 0));
}

#[test]
fn whoever_logged_out_everywhere_comes_back_for_a_while() {
    let (mut phone, cleo) = Phone::with_cleo();
    phone.pass(3 * DAY);
    let now = phone.world.now;
    phone.world.relay.revoke(now, cleo, newcomer(0xC).device.device).unwrap().0.unwrap();
    let challenge = phone.code();
    assert_eq!(phone.enrol(challenge, &newcomer(0xC)), Err(ErrorCode::DeviceRevoked));
    assert_eq!(phone.enrol(challenge, &newcomer(0xD)), Ok(cleo));
    phone.world.relay.revoke(phone.world.now, cleo, newcomer(0xD).device.device).unwrap().0.unwrap();
    phone.pass(7 * DAY);
    let challenge = phone.code();
    assert_eq!(phone.enrol(challenge, &newcomer(0xE)), Ok(newcomer(0xE).user), "somebody else may have it by now");
}

#[test]
fn after_a_start_everybody_counts_as_there_for_an_hour() {
    let (mut phone, _) = Phone::with_cleo();
    phone.world.attach(newcomer(0xC).device.device);
    phone.pass(30 * DAY);
    phone.world.crash(true);
    let (challenge, _) = phone.ask().unwrap();
    assert_eq!(phone.enrol(challenge, &newcomer(0xD)), Err(ErrorCode::WaitingPeriod), "it was connected a moment ago");
    phone.pass(60 * 60 * 1000);
    let (challenge, _) = phone.ask().unwrap();
    assert_eq!(phone.enrol(challenge, &newcomer(0xD)), Ok(newcomer(0xD).user));
}

#[test]
fn a_device_that_holds_somebodys_history_gets_no_other_account() {
    let (mut phone, cleo) = Phone::with_cleo();
    phone.pass(30 * DAY);
    let challenge = phone.code();
    let theirs = |user| Newcomer { only: Some(user), ..newcomer(0xD) };
    assert_eq!(phone.enrol(challenge, &theirs(ANA)), Err(ErrorCode::Forbidden));
    assert_eq!(phone.enrol(challenge, &theirs(cleo)), Err(ErrorCode::Forbidden), "the number would go to a new user");
    assert_eq!(phone.world.count("phone"), 1);
    phone.set_pin(cleo, Some("2468"));
    assert_eq!(phone.show(challenge, RIGHT, Some("2468"), false, &theirs(cleo)), Ok(cleo));
}

#[test]
fn codes_of_yesterday_are_forgotten() {
    let mut phone = Phone::new();
    phone.ask().unwrap();
    assert_eq!(phone.world.count("phone_code"), 1);
    phone.world.tick_after(DAY + 1);
    assert_eq!(phone.world.count("phone_code"), 0);
}
