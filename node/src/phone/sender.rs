//! Who carries codes to telephones: a gateway of the app's, or, while an app is made, the log.

use std::time::Duration;

use chasqui_wire::http::Sensitive;
use prometheus_client::metrics::counter::Counter;
use serde::Serialize;

use super::config::{PhoneConfig, SenderKind};
use super::{Code, E164, SetUpError};
use crate::metrics::Metrics;
use crate::outbound::{self, AnswerError};

/// Somebody waits for it.
const SENT_WITHIN: Duration = Duration::from_secs(5);

pub(crate) struct CodeSender {
    way: Way,
    sent: Counter,
    failed: Counter,
}

enum Way {
    Webhook { http: reqwest::Client, url: reqwest::Url, secret: Sensitive },
    Log,
}

/// The code is not on its way.
#[derive(Debug)]
pub(crate) struct NotSent;

/// What a gateway is told.
#[derive(Serialize)]
struct Order<'a> {
    /// E.164.
    phone: &'a str,
    /// Six digits.
    code: &'a str,
}

impl CodeSender {
    pub(super) fn start(config: &PhoneConfig, metrics: &Metrics) -> Result<Self, SetUpError> {
        let way = match (config.sender, &config.webhook_url) {
            (Some(SenderKind::Webhook), Some(url)) => Way::Webhook {
                http: outbound::client(SENT_WITHIN)?,
                url: outbound::url(url)?,
                secret: config.secret()?,
            },
            _ => {
                tracing::warn!("codes for telephones go to this log: whoever reads it can enrol as anybody");
                Way::Log
            }
        };
        Ok(Self { way, sent: metrics.codes_sent.clone(), failed: metrics.codes_failed.clone() })
    }

    /// Returns when the gateway has taken it. `challenge` is for the log, which never has a number.
    pub(crate) async fn send(&self, to: &E164, code: &Code, challenge: &str) -> Result<(), NotSent> {
        let sent = match &self.way {
            Way::Webhook { http, url, secret } => {
                let order = Order { phone: to.as_str(), code: code.as_str() };
                let asked = http.post(url.clone()).bearer_auth(&secret.0).json(&order).send().await;
                asked.map_err(AnswerError::from).and_then(|answer| {
                    let status = answer.status();
                    if status.is_success() { Ok(()) } else { Err(AnswerError::Status(status.as_u16())) }
                })
            }
            Way::Log => {
                tracing::warn!(challenge, code = code.as_str(), "a code for a telephone");
                Ok(())
            }
        };
        match sent {
            Ok(()) => {
                self.sent.inc();
                Ok(())
            }
            Err(error) => {
                self.failed.inc();
                tracing::warn!(%error, "a code could not be sent");
                Err(NotSent)
            }
        }
    }
}
