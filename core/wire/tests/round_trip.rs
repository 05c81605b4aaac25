//! Whatever a type of this crate can say arrives as it was said.

mod strategies;
#[path = "strategies/http.rs"]
mod strategies_http;

use chasqui_wire::{
    ClientFrame, Commit, Content, EntryKind, FrameError, Limits, NodeFrame, Send, SeqRanges, SignalBody,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strategies_http as http;

/// JSON there and back, through text and through an untyped value.
fn json<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(body: &T) -> Result<(), TestCaseError> {
    let text = serde_json::to_string(body).expect("bodies are plain JSON");
    prop_assert_eq!(&serde_json::from_str::<T>(&text).expect("own text parses"), body);
    let value = serde_json::to_value(body).expect("bodies are plain JSON");
    prop_assert_eq!(&serde_json::from_value::<T>(value).expect("own value parses"), body);
    Ok(())
}

proptest! {
    // A failure becomes a named test, not a file of seeds.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn client_frames_arrive_as_sent(frame in strategies::client_frame()) {
        let bytes = frame.encode();
        prop_assert_eq!(ClientFrame::decode(bytes.clone(), &Limits::DEFAULT), Ok(frame));
        prop_assert_eq!(ClientFrame::decode(bytes.clone(), &Limits::DEFAULT).unwrap().encode(), bytes);
    }

    #[test]
    fn a_send_is_read_back_from_its_frame(frame in strategies::client_frame()) {
        let read = Send::decode_frame(frame.encode());
        match frame {
            ClientFrame::Send(send) => prop_assert_eq!(read, Ok(*send)),
            _ => prop_assert_eq!(read, Err(FrameError::UnknownKind)),
        }
    }

    #[test]
    fn node_frames_arrive_as_sent(frame in strategies::node_frame()) {
        let bytes = frame.encode();
        prop_assert_eq!(NodeFrame::decode(bytes.clone(), &Limits::DEFAULT), Ok(frame));
        prop_assert_eq!(NodeFrame::decode(bytes.clone(), &Limits::DEFAULT).unwrap().encode(), bytes);
    }

    #[test]
    fn kept_mail_is_read_back(entry in strategies::entry()) {
        prop_assert_eq!(EntryKind::decode(entry.kind.encode()), Ok(entry.kind));
    }

    #[test]
    fn a_kept_change_is_read_back(commit in strategies::commit()) {
        prop_assert_eq!(Commit::decode(commit.encode()), Ok(commit));
    }

    #[test]
    fn content_arrives_as_written(content in strategies::content()) {
        prop_assert_eq!(Content::decode(content.encode(), content.message), Ok(content));
    }

    #[test]
    fn what_a_signal_says_arrives(body in strategies::signal_body()) {
        prop_assert_eq!(SignalBody::decode(&body.encode()), Ok(body));
    }

    #[test]
    fn coalesced_ranges_hold_exactly_their_positions(ranges in strategies::ranges()) {
        let seqs: Vec<_> = ranges
            .iter()
            .flat_map(|run| (run.first().raw()..=run.last().raw()).map(|raw| chasqui_wire::Seq::from_raw(raw).unwrap()))
            .collect();
        prop_assert!(seqs.iter().all(|&seq| ranges.contains(seq)));
        prop_assert!(seqs.is_sorted());
        prop_assert_eq!(SeqRanges::of(seqs.into_iter().rev()), ranges);
    }

    #[test]
    fn a_union_holds_the_positions_of_both(one in strategies::ranges(), other in strategies::ranges()) {
        let seqs = |ranges: &SeqRanges| -> Vec<chasqui_wire::Seq> {
            let runs = ranges.iter().map(|run| run.first().raw()..=run.last().raw());
            runs.flatten().map(|raw| chasqui_wire::Seq::from_raw(raw).unwrap()).collect()
        };
        let both = seqs(&one).into_iter().chain(seqs(&other));
        prop_assert_eq!(one.union(&other), SeqRanges::of(both));
    }

    #[test]
    fn http_bodies_arrive_as_sent(
        realm in http::realm_body(),
        (register, login, enrolled) in (http::register(), http::login(), http::enrolled()),
        (by_token, by_code, pin) in (http::enrol_by_token(), http::enrol_by_code(), http::new_pin()),
        (deletion, identity) in (http::delete_account(), http::new_identity()),
        (code_request, code_sent) in (http::code_request(), http::code_sent()),
        (challenge, request, token) in (http::token_challenge(), http::token_request(), http::token()),
        (user, devices, error) in (http::user_body(), http::devices(), http::error_body()),
    ) {
        json(&realm)?;
        json(&register)?;
        json(&login)?;
        json(&enrolled)?;
        json(&by_token)?;
        json(&by_code)?;
        json(&pin)?;
        json(&code_request)?;
        json(&deletion)?;
        json(&identity)?;
        json(&code_sent)?;
        json(&challenge)?;
        json(&request)?;
        json(&token)?;
        json(&user)?;
        json(&devices)?;
        json(&error)?;
    }
}
