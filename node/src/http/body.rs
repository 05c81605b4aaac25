//! JSON in, with our own refusals instead of the framework's.

use std::fmt;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use chasqui_wire::ErrorCode;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::problem::Problem;

/// A request's JSON body: an object, and objects in it.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state).await;
        let bytes = bytes.map_err(|rejection: BytesRejection| refusal(rejection.status(), rejection.body_text()))?;
        let again = Request::from_parts(parts, bytes.clone().into());
        let Json(body) = Json::from_request(again, state)
            .await
            .map_err(|rejection: JsonRejection| refusal(rejection.status(), rejection.body_text()))?;
        // The fields of an object would be taken from a list in their order too, which nobody promised.
        serde_json::from_slice::<NoLists>(&bytes).map_err(|error| Problem::invalid(error.to_string()))?;
        Ok(Self(body))
    }
}

fn refusal(status: StatusCode, text: String) -> Problem {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(ErrorCode::TooLarge, "the body is above 16 KiB")
    } else {
        Problem::invalid(text)
    }
}

/// Any JSON without a list in it: no request has one.
struct NoLists;

impl<'de> Deserialize<'de> for NoLists {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for NoLists {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<IgnoredAny, Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _list: A) -> Result<Self, A::Error> {
        Err(serde::de::Error::invalid_type(serde::de::Unexpected::Seq, &self))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_refused_wherever_they_stand() {
        let check = |text: &str| serde_json::from_str::<NoLists>(text).is_ok();
        for good in [r#"{"a": {"b": "[1]", "c": null}, "d": -1, "e": 1.5, "f": true}"#, "{}"] {
            assert!(check(good), "{good}");
        }
        for bad in [r#"["a"]"#, r#"{"a": {"b": []}}"#, r#"{"a": [{}]}"#] {
            assert!(!check(bad), "{bad}");
        }
    }
}
