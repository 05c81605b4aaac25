//! How a client is opened.

use chasqui::RealmId;

use crate::error::ChasquiError;

/// Where a client keeps its history, and which node it talks to.
#[derive(Clone, uniffi::Record)]
pub struct Config {
    /// Path of the data folder. It is made if it does not exist, and belongs to one account and one client at a time.
    pub folder: String,
    /// Base URL of the node: `https://relay.example.org`.
    pub node: String,
    /// Refuses to enrol at a node that serves another app.
    #[uniffi(default)]
    pub realm: Option<RealmId>,
    /// Binds the folder to this device: 32 random bytes that the app keeps in the platform's keystore, where no backup and no
    /// copy of the folder takes them along. The folder then opens with no others and not without: `other_device`. The secrets in
    /// the folder are sealed by it.
    #[uniffi(default)]
    pub device_binding: Option<Vec<u8>>,
    /// Instead, where there is no keystore: something that people type in each time.
    #[uniffi(default)]
    pub passphrase: Option<String>,
    /// Opens a folder that is bound to another device: as a copy, which has to log in again as a new device, and is bound to
    /// this one.
    #[uniffi(default = false)]
    pub adopt_copy: bool,
}

impl TryFrom<Config> for chasqui::Config {
    type Error = ChasquiError;

    fn try_from(config: Config) -> Result<Self, ChasquiError> {
        let Config { folder, node, realm, device_binding, passphrase, adopt_copy } = config;
        let mut core = Self::new(folder, node);
        if let Some(realm) = realm {
            core = core.realm(realm);
        }
        if device_binding.is_some() && passphrase.is_some() {
            return Err(ChasquiError::Invalid { detail: "a folder is bound by a secret or by a passphrase".into() });
        }
        if let Some(secret) = device_binding {
            let detail = || format!("the device binding has 32 bytes, not {}", secret.len());
            let secret = <[u8; 32]>::try_from(secret.as_slice());
            core = core.device_binding(secret.map_err(|_| ChasquiError::Invalid { detail: detail() })?);
        }
        if let Some(passphrase) = passphrase {
            core = core.passphrase(&passphrase);
        }
        Ok(if adopt_copy { core.adopt_copy() } else { core })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_binding_of_another_length_is_refused_and_not_shown() {
        let config = |binding: Vec<u8>| Config {
            folder: "ana".into(),
            node: "https://relay.example.org".into(),
            realm: None,
            device_binding: Some(binding),
            passphrase: None,
            adopt_copy: false,
        };
        assert!(chasqui::Config::try_from(config(vec![7; 32])).is_ok());
        let both = Config { passphrase: Some("swordfish".into()), ..config(vec![7; 32]) };
        assert!(matches!(chasqui::Config::try_from(both), Err(ChasquiError::Invalid { .. })));
        for length in [0, 31, 33] {
            let error = chasqui::Config::try_from(config(vec![7; length])).unwrap_err();
            assert!(matches!(&error, ChasquiError::Invalid { detail } if !detail.contains("7,")), "{error}");
        }
    }
}
