//! How a folder gets its device: by name and password, by a token of the app's own backend, by a code to a telephone.
//!
//! Guarantees: the keys are on disk before the node hears of them, and stay there until the node has answered. Whatever
//! gets lost in between, asking again enrols the same device of the same user, and no second one.

use std::sync::Arc;

use chasqui_wire::http::{
    CodeRequest, EnrolByCode, EnrolByToken, Enrolled, Key, Login, NewDevice, NewPin, Newcomer, Register, Sensitive,
};
use chasqui_wire::{DeviceId, UserId, signing};

use crate::client::Client;
use crate::domain::{Account, PhoneChallenge};
use crate::driver::{fresh_id, fresh_seed};
use crate::engine::{Command, Enrolment, Secret, public_key, sign_with};
use crate::error::Error;

/// On whose word a device is enrolled.
#[derive(Clone, Copy, Debug)]
enum Word<'a> {
    /// A new user's own.
    Registration { name: &'a str },
    /// A user's, by password.
    Login { name: &'a str },
    /// The app's backend's. It says who that is; this device does not look.
    Token,
    /// A telephone's.
    Code,
}

impl Word<'_> {
    /// What keys are remembered under until the node has answered. No name has a colon.
    fn remembered_as(&self) -> String {
        match *self {
            Self::Registration { name } | Self::Login { name } => name.to_owned(),
            Self::Token => ":token".to_owned(),
            Self::Code => ":code".to_owned(),
        }
    }

    /// Whether the user may be made by it, and then needs an identity.
    fn may_be_new(&self) -> bool {
        match self {
            Self::Registration { .. } | Self::Token | Self::Code => true,
            Self::Login { .. } => false,
        }
    }

    /// Whether the folder of that user may be enrolled by it. Who a token or a telephone stands for, the node says.
    fn fits(&self, owner: &str) -> bool {
        match self {
            Self::Registration { .. } => false,
            // An owner who was only known by id after damage has no name here.
            Self::Login { name } => owner.is_empty() || owner.to_lowercase() == name.to_lowercase(),
            Self::Token | Self::Code => true,
        }
    }
}

/// Keys to be enrolled.
struct Keys {
    enrolment: Enrolment,
    /// From an earlier try, whose answer was lost.
    are_remembered: bool,
    /// Whose history the folder holds.
    owner: Option<UserId>,
}

impl Client {
    /// Makes a new user with this as the first device. Repeating it after a lost answer is harmless.
    ///
    /// # Errors
    /// [`Error::NameTaken`], [`Error::Invalid`] for a name or password that the node does not accept,
    /// [`Error::AlreadyEnrolled`], [`Error::RateLimited`], [`Error::Offline`].
    pub async fn register(&self, name: &str, password: &str, device_name: &str) -> Result<Account, Error> {
        let _alone = self.enrolling.lock().await;
        let Keys { enrolment, .. } = self.begin_enrolment(Word::Registration { name }).await?;
        let device = enrolment.device;
        let (api, name, password) = (Arc::clone(&self.driver.api), name.to_owned(), Sensitive::from(password));
        let device_name = device_name.to_owned();
        let enrolled = self.driver.on_network(async move {
            let (realm, user, identity_key) = (enrolment.realm, enrolment.user, identity_key(&enrolment)?);
            let device = new_device(&enrolment, device_name);
            api.register(&Register { realm, user, name, password, identity_key, device }).await
        });
        self.end_enrolment(device, enrolled.await).await
    }

    /// Makes this a further device of an existing user. It gets what is sent from here on.
    ///
    /// # Errors
    /// [`Error::Unauthorised`] for a wrong name or password, [`Error::Forbidden`] when the user has as many devices as
    /// are allowed, [`Error::AlreadyEnrolled`], [`Error::RateLimited`] after too many guesses, [`Error::Offline`].
    pub async fn login(&self, name: &str, password: &str, device_name: &str) -> Result<Account, Error> {
        let _alone = self.enrolling.lock().await;
        let Keys { enrolment, .. } = self.begin_enrolment(Word::Login { name }).await?;
        let device = enrolment.device;
        let (api, name, password) = (Arc::clone(&self.driver.api), name.to_owned(), Sensitive::from(password));
        let device_name = device_name.to_owned();
        let enrolled = self.driver.on_network(async move {
            let device = new_device(&enrolment, device_name);
            api.login(&Login { realm: enrolment.realm, name, password, device }).await
        });
        self.end_enrolment(device, enrolled.await).await
    }

    /// Makes this a device of the user whom a token (JWT) of the app's own backend names; the first time makes the user.
    /// Repeating it after a lost answer, with this token or a newer one, is harmless.
    ///
    /// # Errors
    /// [`Error::InvalidToken`]: get a new one from the backend. [`Error::Unavailable`] when the node cannot get the
    /// backend's keys, [`Error::Forbidden`] when the user has as many devices as are allowed or the folder holds
    /// somebody else's history, [`Error::Incompatible`] when the node takes no tokens, [`Error::AlreadyEnrolled`],
    /// [`Error::RateLimited`], [`Error::Offline`].
    pub async fn enrol_with_token(&self, token: &str, device_name: &str) -> Result<Account, Error> {
        self.enrol_newcomer(Word::Token, Proof::Token(token.into()), device_name).await
    }

    /// Asks for a code to this telephone number. The answer is the same whether anybody has an account by it or not.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no number, [`Error::RateLimited`] when a code is on its way already or there were
    /// too many, [`Error::Unavailable`] when it could not be sent, [`Error::Incompatible`] when the node enrols no
    /// telephones, [`Error::Offline`].
    pub async fn request_code(&self, phone: &str) -> Result<PhoneChallenge, Error> {
        let (api, phone, expected) = (Arc::clone(&self.driver.api), Sensitive::from(phone), self.config.realm);
        self.driver
            .on_network(async move {
                let realm = match expected {
                    Some(realm) => realm,
                    None => api.realm().await?.realm,
                };
                let sent = api.request_code(&CodeRequest { realm, phone }).await?;
                let (id, expires_in_ms, resend_after_ms) = (sent.challenge, sent.expires_in_ms, sent.resend_after_ms);
                Ok(PhoneChallenge { id, expires_in_ms, resend_after_ms })
            })
            .await
    }

    /// Makes this a device of the user whom the telephone number of the challenge belongs to; the first time makes the
    /// user. Where the user has set a PIN, it is needed. Repeating it after a lost answer is harmless.
    ///
    /// A number whose account has no PIN and is in use is not given away at once: see [`Error::WaitingPeriod`]. After
    /// that time it belongs to a new user. Whoever has the earlier device at hand can set a PIN there, and use it here.
    ///
    /// # Errors
    /// [`Error::InvalidCode`], [`Error::AttemptsExhausted`], [`Error::PinNeeded`], [`Error::WrongPin`],
    /// [`Error::WaitingPeriod`], [`Error::Forbidden`] when the user has as many devices as are allowed or the folder
    /// holds somebody else's history, [`Error::AlreadyEnrolled`], [`Error::RateLimited`], [`Error::Offline`].
    pub async fn enrol_with_code(
        &self,
        challenge: &str,
        code: &str,
        pin: Option<&str>,
        device_name: &str,
    ) -> Result<Account, Error> {
        let (challenge, code, pin) = (challenge.to_owned(), code.into(), pin.map(Sensitive::from));
        self.enrol_newcomer(Word::Code, Proof::Code { challenge, code, pin, fresh: false }, device_name).await
    }

    /// As [`Self::enrol_with_code`], for whom the PIN of the number's earlier account is lost, or was never theirs: after
    /// the waiting period the number goes to a new user, and the earlier account stays without it.
    ///
    /// # Errors
    /// As [`Self::enrol_with_code`].
    pub async fn replace_account_with_code(
        &self,
        challenge: &str,
        code: &str,
        device_name: &str,
    ) -> Result<Account, Error> {
        let (challenge, code) = (challenge.to_owned(), code.into());
        self.enrol_newcomer(Word::Code, Proof::Code { challenge, code, pin: None, fresh: true }, device_name).await
    }

    /// Sets or changes the PIN that protects the account when its telephone number is enrolled again; `None` removes it.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a PIN that is not 4 to 64 bytes long, [`Error::NotEnrolled`], [`Error::RateLimited`],
    /// [`Error::Offline`].
    pub async fn set_pin(&self, pin: Option<&str>) -> Result<(), Error> {
        let (api, pin) = (Arc::clone(&self.driver.api), pin.map(Sensitive::from));
        self.driver
            .on_network(async move {
                match pin {
                    Some(pin) => api.set_pin(&NewPin { pin }).await,
                    None => api.remove_pin().await,
                }
            })
            .await
    }

    async fn enrol_newcomer(&self, word: Word<'_>, proof: Proof, device_name: &str) -> Result<Account, Error> {
        let _alone = self.enrolling.lock().await;
        loop {
            let Keys { enrolment, are_remembered, owner } = self.begin_enrolment(word).await?;
            let device = enrolment.device;
            let (api, proof, device_name) = (Arc::clone(&self.driver.api), proof.clone(), device_name.to_owned());
            let enrolled = self.driver.on_network(async move {
                let (realm, user, identity_key) = (enrolment.realm, enrolment.user, identity_key(&enrolment)?);
                let device = new_device(&enrolment, device_name);
                let newcomer = Newcomer { user, identity_key, only: owner, device };
                match proof {
                    Proof::Token(token) => api.enrol_by_token(&EnrolByToken { realm, token, newcomer }).await,
                    Proof::Code { challenge, code, pin, fresh } => {
                        api.enrol_by_code(&EnrolByCode { realm, challenge, code, pin, fresh, newcomer }).await
                    }
                }
            });
            match self.end_enrolment(device, enrolled.await).await {
                // An earlier try had enrolled these keys after all: for somebody else, or they were revoked since. They
                // are forgotten now; with others there is nothing in the way.
                Err(Error::Invalid { .. } | Error::Unauthorised) if are_remembered => {}
                ended => return ended,
            }
        }
    }

    /// Keys are on disk before the node is asked, so that a repeated request is the same request.
    async fn begin_enrolment(&self, word: Word<'_>) -> Result<Keys, Error> {
        let owner = self.driver.query(|history| history.owner()).await?;
        let owner_id = owner.as_ref().map(|(user, _)| *user);
        if let Some(row) = self.driver.query(|history| history.account_row()).await? {
            // A copy gives way to a new device.
            if row.enrolled && !row.copied {
                return Err(Error::AlreadyEnrolled);
            }
            let same_app = self.config.realm.is_none_or(|expected| expected == row.realm);
            let same_user = row.name == word.remembered_as() && row.identity_seed.is_some() == word.may_be_new();
            if !row.enrolled && same_user && same_app && row.node == self.config.node {
                let enrolment = Enrolment {
                    node: row.node,
                    realm: row.realm,
                    user: row.user,
                    name: row.name,
                    device: row.device,
                    device_seed: row.device_seed,
                    identity_seed: row.identity_seed,
                };
                return Ok(Keys { enrolment, are_remembered: true, owner: owner_id });
            }
        }
        if owner.is_some_and(|(_, name)| !word.fits(&name)) {
            return Err(Error::someone_elses_folder());
        }
        let api = Arc::clone(&self.driver.api);
        let realm = self.driver.on_network(async move { api.realm().await }).await?.realm;
        if self.config.realm.is_some_and(|expected| expected != realm) {
            return Err(Error::Incompatible { detail: format!("the node serves realm {realm}, another app") });
        }
        let enrolment = Enrolment {
            node: self.config.node.clone(),
            realm,
            user: fresh_id(),
            name: word.remembered_as(),
            device: fresh_id(),
            device_seed: Secret::new(fresh_seed()?),
            identity_seed: if word.may_be_new() { Some(Secret::new(fresh_seed()?)) } else { None },
        };
        self.driver.command(Command::BeginEnrolment(Box::new(enrolment.clone()))).await?;
        Ok(Keys { enrolment, are_remembered: false, owner: owner_id })
    }

    /// A lost answer keeps the keys for the next try; a refusal of them does not.
    async fn end_enrolment(&self, device: DeviceId, answer: Result<Enrolled, Error>) -> Result<Account, Error> {
        let Enrolled { user, name, .. } = match answer {
            Ok(enrolled) => enrolled,
            Err(error) => {
                if error.refuses_keys() {
                    self.driver.command(Command::ForgetEnrolment).await?;
                }
                return Err(error);
            }
        };
        self.driver.command(Command::ConfirmEnrolment { user, name, device }).await?;
        self.use_credentials().await?;
        self.account().await?.ok_or(Error::NotEnrolled)
    }
}

/// What a device shows on somebody else's word.
#[derive(Clone)]
enum Proof {
    Token(Sensitive),
    Code { challenge: String, code: Sensitive, pin: Option<Sensitive>, fresh: bool },
}

fn identity_key(enrolment: &Enrolment) -> Result<Key<32>, Error> {
    let seed = enrolment.identity_seed.as_ref().ok_or(Error::Internal { detail: "no identity key".into() })?;
    Ok(Key(public_key(seed)))
}

fn new_device(enrolment: &Enrolment, name: String) -> NewDevice {
    let key = public_key(&enrolment.device_seed);
    let proof = sign_with(&enrolment.device_seed, &signing::enrol(enrolment.realm, enrolment.device, &key));
    NewDevice { device: enrolment.device, key: Key(key), proof: Key(proof), name }
}
