//! The section `[traces]` of the configuration.

use std::path::PathBuf;

use reqwest::Url;
use serde::{Deserialize, Serialize};

use crate::outbound;

/// Where spans go. Without an endpoint, none are made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TracesConfig {
    /// The collector: OTLP over HTTP, without `/v1/traces`.
    pub endpoint: Option<String>,
    /// What the node is called there.
    pub service_name: String,
    /// The share of traces that is exported.
    pub sample_ratio: Ratio,
    /// A file with headers for the collector, one `name: value` a line.
    pub headers_file: Option<PathBuf>,
}

/// From 0, nothing, to 1, everything.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(f64);

/// It is never NaN.
impl Eq for Ratio {}

impl Ratio {
    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Ratio {
    type Error = &'static str;

    fn try_from(number: f64) -> Result<Self, Self::Error> {
        if (0.0..=1.0).contains(&number) { Ok(Self(number)) } else { Err("a ratio is from 0 to 1") }
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.0
    }
}

impl Default for TracesConfig {
    fn default() -> Self {
        let service_name = "chasqui-node".to_owned();
        Self { endpoint: None, service_name, sample_ratio: Ratio(1.0), headers_file: None }
    }
}

impl TracesConfig {
    /// What contradicts itself.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        if self.endpoint.is_none() {
            let is_untouched = *self == Self::default();
            return (!is_untouched).then_some("traces.endpoint is missing, so that nothing in [traces] counts");
        }
        if self.service_name.is_empty() {
            Some("traces.service_name is empty")
        } else if self.url().is_none() {
            Some(
                "traces.endpoint is no https:// or http:// address; with headers_file, http:// is for this machine only",
            )
        } else {
            None
        }
    }

    /// Where batches are posted. Spans name nobody, so that a network of one's own needs no TLS for them; headers do.
    pub(super) fn url(&self) -> Option<Url> {
        let base = self.endpoint.as_deref()?.trim_end_matches('/');
        let url = Url::parse(&format!("{base}/v1/traces")).ok()?;
        let has_plain_scheme = url.scheme() == "http" && self.headers_file.is_none() && url.has_host();
        let is_bare = url.query().is_none() && url.fragment().is_none();
        (is_bare && (has_plain_scheme || outbound::url(url.as_str()).is_ok())).then_some(url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(endpoint: &str, has_headers: bool) -> TracesConfig {
        let headers_file = has_headers.then(|| PathBuf::from("headers"));
        TracesConfig { endpoint: Some(endpoint.to_owned()), headers_file, ..TracesConfig::default() }
    }

    #[test]
    fn headers_leave_this_machine_in_tls_only() {
        let check = |endpoint: &str, plain: bool, with_headers: bool| {
            assert_eq!(at(endpoint, false).contradiction().is_none(), plain, "{endpoint}");
            assert_eq!(at(endpoint, true).contradiction().is_none(), with_headers, "{endpoint}");
        };
        check("http://collector:4318", true, false);
        check("http://127.0.0.1:4318/", true, true);
        check("https://otlp.example.org/otlp", true, true);
        check("collector:4318", false, false);
        check("ftp://127.0.0.1", false, false);
        check("http://collector?x=", false, false);
        check("", false, false);
        let url = at("https://otlp.example.org/otlp/", true).url().unwrap();
        assert_eq!(url.as_str(), "https://otlp.example.org/otlp/v1/traces");
    }

    #[test]
    fn a_ratio_is_between_nothing_and_everything() {
        let parse = |text: &str| toml::from_str::<TracesConfig>(&format!("sample_ratio = {text}"));
        assert!(["0", "1", "0.01", "1.0"].iter().all(|text| parse(text).is_ok()));
        assert!(["1.01", "-0.1", "nan", "inf", "\"1\""].iter().all(|text| parse(text).is_err()));
        let alone = TracesConfig { service_name: "mine".to_owned(), ..TracesConfig::default() };
        assert!(alone.contradiction().is_some(), "it would do nothing");
    }
}
