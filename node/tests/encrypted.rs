//! Encrypted conversations over real sockets: with real links, and nothing left behind. What MLS makes of it is not this
//! node's business, so the bodies here are no MLS.

mod client;

use bytes::Bytes;
use chasqui_node::inspect::Inspection;
use chasqui_wire::http::{Key, Login};
use chasqui_wire::{
    AckItem, AckOutcome, Claim, ClientFrame, Commit, ConversationId, ConversationKind, Entry, EntryKind, Envelope,
    ErrorCode, GoodbyeReason, KeyPackages, KeyPackagesLeft, MessageId, NodeFrame, Ping, Protection, RosterEntry, Send,
    StorageClass, direct_conversation, signing,
};
use client::{Device, Node, Response, Socket, node, request};
use ring::digest::{SHA256, digest};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

/// A user's identity.
fn identity(user: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[user + 100; 32]).expect("32 bytes")
}

/// A device of a new user who has an identity key.
async fn registered(node: &Node, user: u8, name: &str) -> Device {
    let device = Device::new(node, user, user);
    let mut new = device.register(name);
    new.identity_key = Key(public(user));
    assert_eq!(device.post("/v1/register", &new).await.status, 200);
    device
}

async fn online(device: &Device) -> Socket {
    let (mut socket, _) = device.welcomed().await;
    while !matches!(socket.frame().await, NodeFrame::Drained(_)) {}
    socket
}

/// The word of the identity `by` for a device.
fn link(device: &Device, by: u8) -> [u8; 64] {
    let key = device.key.public_key().as_ref().try_into().expect("32 bytes");
    let link = identity(by).sign(&signing::link(device.realm, device.user, device.device, &key));
    link.as_ref().try_into().expect("64 bytes")
}

fn key_packages(device: &Device, by: u8) -> ClientFrame {
    ClientFrame::KeyPackages(KeyPackages {
        id: MessageId::from_bytes([99; 16]),
        link: link(device, by),
        one_time: vec![Bytes::from_static(b"once")],
        last_resort: Some(Bytes::from_static(b"last")),
        replace: false,
    })
}

fn claim(of: &Device, with: &Device) -> ClientFrame {
    ClientFrame::Claim(Claim {
        id: MessageId::from_bytes([98; 16]),
        conversation: conversation(of, with),
        kind: ConversationKind::Direct,
        protection: Protection::EndToEnd,
        peer: Some(with.user),
        anew: false,
    })
}

fn conversation(one: &Device, other: &Device) -> ConversationId {
    direct_conversation(one.user, other.user, Protection::EndToEnd)
}

fn send(from: &Device, to: &Device, number: u8, epoch: u64, body: &'static str) -> Send {
    Send {
        message: MessageId::from_bytes([number; 16]),
        conversation: conversation(from, to),
        kind: ConversationKind::Direct,
        protection: Protection::EndToEnd,
        peer: Some(to.user),
        body: Bytes::from_static(body.as_bytes()),
        storage: StorageClass::Durable,
        urgent: false,
        ttl_seconds: 0,
        restart: true,
        reclaim_seq: None,
        after_seq: None,
        resend_of: None,
        only_device: None,
        epoch,
        commit: None,
        roster_checked: false,
    }
}

fn entry(device: &Device) -> RosterEntry {
    RosterEntry { user: device.user, device: device.device }
}

async fn answer(socket: &mut Socket, frame: ClientFrame) -> Result<(), ErrorCode> {
    socket.send(frame).await;
    match socket.frame().await {
        NodeFrame::Accepted(_) => Ok(()),
        NodeFrame::Rejected(rejected) => Err(rejected.code),
        other => panic!("{other:?}"),
    }
}

async fn next_mail(socket: &mut Socket) -> Vec<Entry> {
    match socket.frame().await {
        NodeFrame::Deliver(deliver) => deliver.entries,
        other => panic!("{other:?}"),
    }
}

/// The one envelope that came, acknowledged.
async fn taken(socket: &mut Socket) -> Envelope {
    let entries = next_mail(socket).await;
    let [Entry { number, kind: EntryKind::Envelope(envelope) }] = entries.as_slice() else { panic!("{entries:?}") };
    let items = vec![AckItem { number: *number, outcome: AckOutcome::Stored }];
    socket.send(ClientFrame::Ack(items.into())).await;
    Envelope::clone(envelope)
}

async fn left(socket: &mut Socket) -> Option<KeyPackagesLeft> {
    socket.send(ClientFrame::Ping(Ping { nonce: 1 })).await;
    let NodeFrame::Pong(pong) = socket.frame().await else { panic!("pong") };
    pong.key_packages
}

#[tokio::test]
async fn two_devices_meet_and_talk_and_nothing_stays() {
    let node = node().await;
    let (ana, bo) = (registered(&node, 1, "ana").await, registered(&node, 2, "bo").await);
    let (mut anas, mut bos) = (online(&ana).await, online(&bo).await);
    assert_eq!(answer(&mut anas, claim(&ana, &bo)).await, Err(ErrorCode::NotLinked));
    assert_eq!(answer(&mut anas, key_packages(&ana, 2)).await, Err(ErrorCode::NotLinked), "by Bo's identity");
    assert_eq!(left(&mut anas).await, Some(KeyPackagesLeft::default()));
    assert_eq!(answer(&mut anas, key_packages(&ana, 1)).await, Ok(()));
    assert_eq!(answer(&mut bos, key_packages(&bo, 2)).await, Ok(()));
    assert_eq!(left(&mut bos).await, Some(KeyPackagesLeft { one_time: 1, last_resort: true }));

    anas.send(claim(&ana, &bo)).await;
    let NodeFrame::Claimed(claimed) = anas.frame().await else { panic!("claimed") };
    assert_eq!(
        (claimed.epoch, claimed.packages[0].entry, &claimed.packages[0].body[..]),
        (0, entry(&bo), &b"once"[..])
    );
    // A pong says it as soon as the session was told, which may be a moment after Ana was.
    while left(&mut bos).await != Some(KeyPackagesLeft { one_time: 0, last_resort: true }) {}

    let begins = send(&ana, &bo, 1, 0, "the commit");
    let commit = Commit {
        hash: digest(&SHA256, &begins.body).as_ref().try_into().unwrap(),
        added: vec![entry(&bo)],
        removed: vec![],
        begins: true,
        welcome: Bytes::from_static(b"the welcome"),
    };
    assert_eq!(answer(&mut anas, ClientFrame::Send(Box::new(Send { commit: Some(commit), ..begins }))).await, Ok(()));
    let welcome = taken(&mut bos).await;
    assert!(welcome.welcome && welcome.body == "the welcome" && welcome.epoch == 0);
    let early = answer(&mut bos, ClientFrame::Send(Box::new(send(&bo, &ana, 2, 0, "sealed")))).await;
    assert_eq!(early, Err(ErrorCode::EpochConflict));
    assert_eq!(answer(&mut bos, ClientFrame::Send(Box::new(send(&bo, &ana, 2, 1, "sealed")))).await, Ok(()));
    let sealed = taken(&mut anas).await;
    assert_eq!((sealed.body, sealed.epoch, sealed.seq.number()), (Bytes::from_static(b"sealed"), 1, 2));
    let receipt = next_mail(&mut bos).await;
    assert!(matches!(&receipt[0].kind, EntryKind::Receipt(receipt) if receipt.user == ana.user));

    let revoke = format!("/v1/devices/{}", bo.device);
    assert_eq!(request(bo.node, "DELETE", &revoke, Some(&bo.token().await), "").await.status, 204);
    let refused = answer(&mut anas, ClientFrame::Send(Box::new(send(&ana, &bo, 3, 1, "sealed")))).await;
    assert_eq!(refused, Err(ErrorCode::Unreachable));
    let Node { running, folder } = node;
    running.stop().await;
    for segment in std::fs::read_dir(folder.path().join("bodies")).unwrap() {
        assert!(std::fs::read(segment.unwrap().path()).unwrap().iter().all(|&byte| byte == 0), "forgotten");
    }
    let verdict = Inspection::open_stopped(folder.path()).unwrap().check(None).unwrap();
    assert_eq!(verdict.problems(), 0, "{verdict:?}");
}

fn public(user: u8) -> [u8; 32] {
    identity(user).public_key().as_ref().try_into().expect("32 bytes")
}

/// The device asks for the identity `number`, with a link by `by`.
async fn reset(device: &Device, (number, by): (u8, u8), proof: &Value) -> Response {
    let mut body = json!({"identity_key": Key(public(number)), "link": Key(link(device, by))});
    body.as_object_mut().expect("an object").extend(proof.as_object().expect("an object").clone());
    request(device.node, "PUT", "/v1/account/identity", Some(&device.token().await), &body.to_string()).await
}

#[tokio::test]
async fn who_has_lost_the_identity_gets_a_new_one_for_what_the_account_is_proved_by() {
    let node = node().await;
    let (ana, bo) = (registered(&node, 1, "ana").await, registered(&node, 2, "bo").await);
    let laptop = Device { user: ana.user, ..Device::new(&node, 1, 11) };
    let login =
        Login { realm: ana.realm, name: "ana".into(), password: "correct horse".into(), device: laptop.new_device() };
    assert_eq!(laptop.post("/v1/login", &login).await.status, 200);
    let (mut phone, mut on_laptop, mut others) = (online(&ana).await, online(&laptop).await, online(&bo).await);
    assert_eq!(answer(&mut phone, key_packages(&ana, 1)).await, Ok(()));
    assert_eq!(answer(&mut others, key_packages(&bo, 2)).await, Ok(()));

    let proof = json!({"password": "correct horse"});
    let refused = [
        ((3, 3), json!({}), (403, "proof_needed")),
        ((3, 3), json!({"password": "wrong horse"}), (403, "proof_needed")),
        ((3, 3), json!({"pin": "1234"}), (403, "proof_needed")),
        ((3, 1), proof.clone(), (400, "invalid")),
        ((1, 3), proof.clone(), (400, "invalid")),
    ];
    for (keys, shown, expected) in refused {
        let answer = reset(&laptop, keys, &shown).await;
        assert_eq!((answer.status, answer.code()), expected, "{keys:?} {shown}");
    }
    // The link of another device.
    let of_another = json!({"identity_key": Key(public(3)), "link": Key(link(&ana, 3)), "password": "correct horse"});
    let token = laptop.token().await;
    let put = async |token: Option<&str>, body: &Value| {
        request(laptop.node, "PUT", "/v1/account/identity", token, &body.to_string()).await
    };
    assert_eq!(put(Some(&token), &of_another).await.code(), "invalid");
    assert_eq!(put(None, &of_another).await.code(), "unauthorised");
    assert_eq!(put(Some(&token), &json!({"link": Key(link(&laptop, 3))})).await.code(), "invalid");
    assert!(left(&mut phone).await.is_some_and(|left| left.last_resort), "nothing was done");

    assert_eq!(reset(&laptop, (3, 3), &proof).await.status, 204);
    for socket in [&mut phone, &mut on_laptop] {
        let NodeFrame::Goodbye(goodbye) = socket.frame().await else { panic!("a goodbye") };
        assert_eq!((goodbye.reason, goodbye.retry_after_ms), (GoodbyeReason::Unspecified, 0));
        assert!(socket.maybe_frame().await.is_none());
    }
    assert!(left(&mut others).await.is_some_and(|left| left.last_resort), "Bo is not concerned");

    // The answer was lost. It still takes the proof, and ends nothing.
    let (mut on_laptop, welcome) = laptop.welcomed().await;
    assert_eq!(welcome.identity_key, Some(public(3)));
    while !matches!(on_laptop.frame().await, NodeFrame::Drained(_)) {}
    assert_eq!(answer(&mut on_laptop, key_packages(&laptop, 1)).await, Err(ErrorCode::NotLinked));
    assert_eq!(answer(&mut on_laptop, key_packages(&laptop, 3)).await, Ok(()));
    assert_eq!(reset(&laptop, (3, 3), &json!({"password": "wrong horse"})).await.code(), "proof_needed");
    assert_eq!(reset(&laptop, (3, 3), &proof).await.status, 204);
    assert!(left(&mut on_laptop).await.is_some_and(|left| left.last_resort));

    let found = bo.get(&format!("/v1/users/{}", ana.user), &bo.token().await).await;
    assert_eq!(found.body["identity_key"], json!(Key(public(3))));
    let mut phone = online(&ana).await;
    assert!(left(&mut phone).await.is_some_and(|left| !left.last_resort && left.one_time == 0));
    assert_eq!(answer(&mut phone, key_packages(&ana, 1)).await, Err(ErrorCode::NotLinked));
    node.running.stop().await;
}
