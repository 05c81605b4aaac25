//! People who compare safety numbers, on one of their devices: at last all of them know.

use super::*;

/// What the user last said of others: of whom, which key, whether it is the right one, and when.
type Compared = Vec<(Vec<u8>, Vec<u8>, bool, i64)>;

impl Device {
    fn compared(&self) -> Compared {
        let sql = "SELECT user, compared_key, compared_verified, compared_at FROM user WHERE compared_key IS NOT NULL ORDER BY user";
        let mut statement = self.database().prepare_cached(sql).expect("the history can be queried");
        let said = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        said.expect("the history can be queried").collect::<Result<_, _>>().expect("what was said")
    }
}

impl World {
    /// Some compare, and some change their minds.
    pub(in crate::sim) fn plan_comparisons(&mut self, span: u64) {
        if self.climate.silent || self.protection == Protection::NodeReadable {
            return;
        }
        let base = self.now;
        // Drawn apart, so that who types stays as it was.
        let mut rng = Rng::new(self.aside.clone().next() ^ 0x636f_6d70);
        for _ in 0..rng.between(0, 6) {
            let (device, peer) = (rng.below(self.devices.len()), rng.below(self.users.len()));
            let (at, verified) = (base + rng.between(span / 8, span + 20_000), rng.chance(700));
            self.at(at, Happening::User(Action::Compare { device, peer, verified }));
        }
    }

    pub(in crate::sim) fn compares(&mut self, index: usize, peer: usize, verified: bool) {
        let device = &self.devices[index];
        // Who somebody is only a linked device shows.
        if device.can_be_used() && device.user != peer && !device.is_unlinked() {
            self.note(format!("device {index} has compared user {peer}: {verified}"));
            let user = self.users[peer];
            self.command(index, Command::SetTrust { user, shown: None, verified });
        }
    }

    /// All devices of a user know the same, whatever they missed.
    pub(in crate::sim) fn check_comparisons(&self) -> Result<(), String> {
        let mut known: BTreeMap<usize, (usize, Compared)> = BTreeMap::new();
        let there = self.devices.iter().enumerate().filter(|(_, device)| device.enrolled);
        // What a device said that was a copy, others may not have heard: it could not say it any more.
        for (index, device) in there.filter(|_| self.climate.clones == 0) {
            let (other, compared) = known.entry(device.user).or_insert_with(|| (index, device.compared()));
            if *compared != device.compared() {
                let said = device.compared();
                return Err(format!(
                    "devices {other} and {index} disagree on who was compared: {compared:?}, {said:?}"
                ));
            }
        }
        Ok(())
    }
}
