//! Devices with a history each, in memory; what one says is handed to the others, as a node would in order.

use chasqui_wire::{
    Commit, DeviceId, KeyPackage, RealmId, RosterEntry, Signal, SignalBody, SignalKind, Timestamp, UserId,
};
use openmls::prelude::Capabilities;
use rusqlite::Connection;
use tls_codec::{Serialize as _, VLByteVec};

use super::*;
use crate::store::Store;

const REALM: RealmId = RealmId::from_bytes([9; 16]);
const GROUP: GroupId = GroupId([1; 16]);

struct Device {
    store: Store,
    own: Own,
}

/// The device `number` of the user `user`.
fn device(user: u8, number: u8) -> Device {
    let (user_id, device) = (UserId::from_bytes([user; 16]), DeviceId::from_bytes([number; 16]));
    let (device_seed, identity_seed) = (Secret::new([number; 32]), Secret::new([0x80 | user; 32]));
    Device {
        store: Store::with_connection(Connection::open_in_memory().unwrap()).unwrap(),
        own: Own::linked(REALM, user_id, device, &device_seed, &identity_seed).unwrap(),
    }
}

impl Device {
    fn mls(&self) -> Mls<'_> {
        Mls::new(&self.own, self.store.connection())
    }

    /// What is done is there in whole, or not at all.
    fn in_transaction<T>(&self, work: impl Fn(&Mls<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
        let transaction = self.store.connection().unchecked_transaction().unwrap();
        let done = work(&self.mls())?;
        transaction.commit().unwrap();
        Ok(done)
    }

    fn entry(&self) -> RosterEntry {
        self.own.leaf.entry()
    }

    fn package(&self) -> KeyPackage {
        KeyPackage { entry: self.entry(), body: self.mls().key_package(false).unwrap() }
    }

    fn members(&self) -> Vec<RosterEntry> {
        self.mls().members(GROUP).unwrap().iter().map(Leaf::entry).collect()
    }

    fn says(&self, text: &str, to: &[&Device]) {
        let sealed = self.mls().seal(GROUP, b"header", text.as_bytes()).unwrap();
        for other in to {
            let opened = other.mls().open(GROUP, b"header", &sealed).unwrap();
            assert_eq!((opened.sender, opened.content.as_slice()), (self.own.leaf, text.as_bytes()));
        }
    }
}

fn copy_of(from: &Connection) -> Connection {
    let mut copy = Connection::open_in_memory().unwrap();
    let backup = rusqlite::backup::Backup::new(from, &mut copy).unwrap();
    backup.run_to_completion(1_000, std::time::Duration::ZERO, None).unwrap();
    drop(backup);
    copy
}

fn anybody(_: &Leaf) -> Result<(), Fault> {
    Ok(())
}

/// `first` begins a group with the others.
fn together(first: &Device, others: &[&Device]) {
    let packages: Vec<_> = others.iter().map(|other| other.package()).collect();
    let change = first.mls().begin(GROUP, &packages, anybody).unwrap();
    first.mls().merge(GROUP).unwrap();
    for other in others {
        assert_eq!(other.mls().join(&change.declared.welcome, None, anybody).unwrap().group, GROUP);
    }
}

#[test]
fn a_group_is_begun_and_all_read_what_is_said() {
    let (ana, bo, bos_laptop) = (device(1, 11), device(2, 21), device(2, 22));
    let change = ana.mls().begin(GROUP, &[bo.package(), bos_laptop.package()], anybody).unwrap();
    assert_eq!(change.declared.added, [bo.entry(), bos_laptop.entry()]);
    assert!(change.declared.begins && change.declared.removed.is_empty());
    ana.mls().merge(GROUP).unwrap();
    for joining in [&bo, &bos_laptop] {
        joining.mls().join(&change.declared.welcome, None, anybody).unwrap();
    }
    for one in [&ana, &bo, &bos_laptop] {
        assert_eq!(one.members(), [ana.entry(), bo.entry(), bos_laptop.entry()]);
    }
    ana.says("one", &[&bo, &bos_laptop]);
    bo.says("two", &[&ana, &bos_laptop]);
    ana.says("three", &[&bos_laptop, &bo]);
}

/// A node that shows two devices different changes at one epoch.
#[test]
fn who_was_shown_another_past_says_so() {
    let (ana, bo, bos_laptop) = (device(1, 11), device(2, 21), device(2, 22));
    together(&ana, &[&bo, &bos_laptop]);
    for (author, follower) in [(&ana, Some(&bos_laptop)), (&bo, None)] {
        let Change { commit, declared, .. } = author.mls().change(GROUP, &[], &[], anybody).unwrap();
        author.mls().merge(GROUP).unwrap();
        if let Some(follower) = follower {
            follower.mls().follow(GROUP, &commit, &declared, anybody).unwrap();
        }
    }
    ana.says("to those of her past", &[&bos_laptop]);
    let of_ana = ana.mls().seal(GROUP, b"header", b"to all").unwrap();
    assert!(matches!(bo.mls().open(GROUP, b"header", &of_ana), Err(Fault::Forked)));
    let of_bo = bo.mls().seal(GROUP, b"header", b"to all").unwrap();
    assert!(matches!(ana.mls().open(GROUP, b"header", &of_bo), Err(Fault::Forked)));
    // What is merely damaged is not that; nor does what says of itself to be of another past cost anything that can be read.
    let mut damaged = of_ana.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    assert!(matches!(bos_laptop.mls().open(GROUP, b"header", &damaged), Err(Fault::Unreadable(_))));
    let mut relabelled = of_ana.to_vec();
    relabelled[0] ^= 1;
    assert_eq!(bos_laptop.mls().open(GROUP, b"header", &relabelled).unwrap().content, b"to all");
    assert!(matches!(ana.mls().open(GROUP, b"header", b"short"), Err(Fault::Unreadable(_))));
}

/// What was stolen from a device opens nothing after it gave the group new keys.
#[test]
fn stolen_keys_end_with_a_renewal() {
    let (ana, bo) = (device(1, 11), device(2, 21));
    together(&ana, &[&bo]);
    let thief =
        Device { store: Store::with_connection(copy_of(bo.store.connection())).unwrap(), own: device(2, 21).own };
    ana.says("before", &[&bo, &thief]);
    let Change { commit, declared, .. } = bo.mls().change(GROUP, &[], &[], anybody).unwrap();
    assert!(declared.added.is_empty() && declared.removed.is_empty());
    bo.mls().merge(GROUP).unwrap();
    ana.mls().follow(GROUP, &commit, &declared, anybody).unwrap();
    assert!(
        thief.mls().follow(GROUP, &commit, &declared, anybody).is_err(),
        "it is for all but the one whose keys they are"
    );
    let sealed = ana.mls().seal(GROUP, b"header", b"after").unwrap();
    assert_eq!(bo.mls().open(GROUP, b"header", &sealed).unwrap().content, b"after");
    assert!(matches!(thief.mls().open(GROUP, b"header", &sealed), Err(Fault::Epoch)));
}

#[test]
fn a_welcome_is_for_those_who_were_added_and_once_for_each() {
    let (ana, bo, cho, eve) = (device(1, 11), device(2, 21), device(3, 31), device(4, 41));
    eve.package();
    let change = ana.mls().begin(GROUP, &[bo.package(), cho.package()], anybody).unwrap();
    let welcome = &change.declared.welcome;
    assert!(matches!(eve.mls().join(welcome, None, anybody), Err(Fault::Unreadable(_))));
    for added in [&bo, &cho] {
        added.mls().join(welcome, None, anybody).unwrap();
        added.mls().forget(GROUP).unwrap();
        assert!(matches!(added.mls().join(welcome, None, anybody), Err(Fault::Unreadable(_))), "its key is used up");
    }
}

/// The tree, about 300 bytes a device, is in it once, however many join.
#[test]
fn a_welcome_grows_by_a_secret_for_each_who_joins() {
    let ana = device(1, 11);
    let others: Vec<_> = (0..12).map(|number| device(2, 20 + number)).collect();
    let packages: Vec<_> = others.iter().map(Device::package).collect();
    let welcome = |packages: &[KeyPackage]| {
        let change = ana.mls().begin(GROUP, packages, anybody).unwrap();
        ana.mls().forget(GROUP).unwrap();
        change.declared.welcome.len()
    };
    let (of_four, of_twelve) = (welcome(&packages[..4]), welcome(&packages));
    assert!(of_twelve - of_four < 8 * 512, "{of_four} {of_twelve}");
}

#[test]
fn a_last_resort_serves_again_and_a_month_after_it_was_replaced() {
    const MONTH_MS: u64 = 30 * 24 * 3600 * 1000;
    let (ana, bo, now) = (device(1, 11), device(2, 21), Timestamp(1_767_225_600_000));
    let last = KeyPackage { entry: bo.entry(), body: bo.mls().key_package(true).unwrap() };
    for round in 0..4 {
        if round == 2 {
            let (offering, _, anew) = bo.mls().offer_key_packages(0, true, Stale::LastResort, now).unwrap();
            assert!(anew.is_some_and(|anew| anew != last.body));
            bo.mls().key_packages_taken(offering, now).unwrap();
        }
        bo.mls().forget_key_packages(now.plus_millis(MONTH_MS - 1)).unwrap();
        ana.mls().forget(GROUP).unwrap();
        let change = ana.mls().begin(GROUP, std::slice::from_ref(&last), anybody).unwrap();
        ana.mls().merge(GROUP).unwrap();
        assert!(bo.mls().join(&change.declared.welcome, Some(GROUP), anybody).unwrap().by_last_resort);
        bo.says("again", &[&ana]);
    }
    bo.mls().forget_key_packages(now.plus_millis(MONTH_MS)).unwrap();
    ana.mls().forget(GROUP).unwrap();
    let change = ana.mls().begin(GROUP, &[last], anybody).unwrap();
    assert!(matches!(bo.mls().join(&change.declared.welcome, None, anybody), Err(Fault::Unreadable(_))));
}

#[test]
fn devices_come_and_go_and_who_is_out_reads_nothing_more() {
    let (ana, bo, lost, new) = (device(1, 11), device(2, 21), device(2, 22), device(2, 23));
    together(&ana, &[&bo, &lost]);
    let change = ana.mls().change(GROUP, &[new.package()], &[lost.entry().device], anybody).unwrap();
    assert_eq!((&change.declared.added[..], &change.declared.removed[..]), (&[new.entry()][..], &[lost.entry()][..]));
    bo.mls().follow(GROUP, &change.commit, &change.declared, anybody).unwrap();
    ana.mls().merge(GROUP).unwrap();
    new.mls().join(&change.declared.welcome, None, anybody).unwrap();
    ana.says("without them", &[&bo, &new]);
    new.says("here I am", &[&ana, &bo]);
    let sealed = bo.mls().seal(GROUP, b"header", b"secret").unwrap();
    assert!(matches!(lost.mls().open(GROUP, b"header", &sealed), Err(Fault::Epoch)));
}

#[test]
fn who_was_taken_out_forgets_the_group_and_may_be_put_in_again() {
    let (ana, bo) = (device(1, 11), device(2, 21));
    together(&ana, &[&bo]);
    let change = ana.mls().change(GROUP, &[], &[bo.entry().device], anybody).unwrap();
    ana.mls().merge(GROUP).unwrap();
    bo.mls().follow(GROUP, &change.commit, &change.declared, anybody).unwrap();
    assert!(matches!(bo.mls().members(GROUP), Err(Fault::NoGroup)));
    bo.mls().forget(GROUP).unwrap();
    let change = ana.mls().change(GROUP, &[bo.package()], &[], anybody).unwrap();
    ana.mls().merge(GROUP).unwrap();
    bo.mls().join(&change.declared.welcome, None, anybody).unwrap();
    bo.says("here again", &[&ana]);
}

#[test]
fn of_two_changes_at_once_one_counts() {
    let (ana, bo, cho) = (device(1, 11), device(2, 21), device(2, 22));
    together(&ana, &[&bo]);
    let by_ana = ana.mls().change(GROUP, &[cho.package()], &[], anybody).unwrap();
    bo.mls().change(GROUP, &[cho.package()], &[], anybody).unwrap();
    bo.mls().withdraw(GROUP).unwrap();
    bo.mls().follow(GROUP, &by_ana.commit, &by_ana.declared, anybody).unwrap();
    ana.mls().merge(GROUP).unwrap();
    cho.mls().join(&by_ana.declared.welcome, None, anybody).unwrap();
    bo.says("after all", &[&ana, &cho]);
}

#[test]
fn what_is_repeated_damaged_or_of_another_header_is_refused_and_the_next_is_read() {
    let (ana, bo) = (device(1, 11), device(2, 21));
    together(&ana, &[&bo]);
    let sealed = ana.mls().seal(GROUP, b"header", b"once").unwrap();
    let refused = |header: &[u8], message: &[u8]| {
        let outcome = bo.in_transaction(|mls| mls.open(GROUP, header, message));
        assert!(matches!(outcome, Err(Fault::Unreadable(_) | Fault::Untrusted(..) | Fault::Epoch)), "{outcome:?}");
    };
    refused(b"another", &sealed);
    for at in [8, 9, 13, 28, sealed.len() / 2, sealed.len() - 1] {
        let mut damaged = sealed.to_vec();
        damaged[at] ^= 1;
        refused(b"header", &damaged);
        refused(b"header", &sealed[..at]);
    }
    assert_eq!(bo.mls().open(GROUP, b"header", &sealed).unwrap().content, b"once");
    refused(b"header", &sealed);
    ana.says("next", &[&bo]);
}

#[test]
fn a_message_hides_its_length_somewhat() {
    let (ana, bo) = (device(1, 11), device(2, 21));
    together(&ana, &[&bo]);
    let length = |text: &str| ana.mls().seal(GROUP, b"", text.as_bytes()).unwrap().len();
    assert_eq!(length("yes"), length("no, not today"));
    for bytes in [0, 1, 63, 64, 65, 1_000, 16_000, 65_536] {
        let grown = length(&"x".repeat(bytes)) - bytes;
        assert!(grown <= SEALED_BYTES, "{bytes} bytes grow by {grown}");
    }
}

#[test]
fn a_signal_is_read_by_whoever_is_in_the_group_now_and_uses_nothing_up() {
    let (ana, bo, lost, stranger) = (device(1, 11), device(2, 21), device(2, 22), device(3, 31));
    together(&ana, &[&bo, &lost]);
    together(&stranger, &[]);
    let written = |device: &Device| device.store.connection().total_changes();
    let before = [written(&ana), written(&bo)];
    let signal = ana.mls().seal_signal(GROUP, b"header", b"typing").unwrap();
    assert_ne!(signal, ana.mls().seal_signal(GROUP, b"header", b"typing").unwrap(), "another nonce");
    for _ in 0..2 {
        assert_eq!(bo.mls().open_signal(GROUP, b"header", &signal).unwrap(), b"typing");
    }
    let refused = |device: &Device, header: &[u8], sealed: &[u8]| {
        let outcome = device.mls().open_signal(GROUP, header, sealed);
        assert!(matches!(outcome, Err(Fault::Unreadable(_))), "{outcome:?}");
    };
    refused(&bo, b"another", &signal);
    refused(&stranger, b"header", &signal);
    for at in [0, 11, 12, 40, signal.len() - 1] {
        let mut damaged = signal.to_vec();
        damaged[at] ^= 1;
        refused(&bo, b"header", &damaged);
        refused(&bo, b"header", &signal[..at]);
    }
    assert_eq!([written(&ana), written(&bo)], before, "no key was used up");

    let change = ana.mls().change(GROUP, &[], &[lost.entry().device], anybody).unwrap();
    bo.mls().follow(GROUP, &change.commit, &change.declared, anybody).unwrap();
    refused(&bo, b"header", &signal);
    ana.mls().merge(GROUP).unwrap();
    let signal = ana.mls().seal_signal(GROUP, b"header", b"typing").unwrap();
    assert_eq!(bo.mls().open_signal(GROUP, b"header", &signal).unwrap(), b"typing");
    refused(&lost, b"header", &signal);
    let nowhere = ana.mls().seal_signal(GroupId([9; 16]), b"", b"");
    assert!(matches!(nowhere, Err(Fault::NoGroup)));
}

#[test]
fn signals_look_alike_and_fit_into_their_frame() {
    let (ana, bo) = (device(1, 11), device(2, 21));
    together(&ana, &[&bo]);
    for (said, sealed) in [(0, 92), (9, 92), (12, 92), (63, 92), (64, 156), (900, 988)] {
        let said = vec![0x80; said];
        let signal = ana.mls().seal_signal(GROUP, b"", &said).unwrap();
        assert_eq!((signal.len(), bo.mls().open_signal(GROUP, b"", &signal).unwrap()), (sealed, said));
    }
    let [typing, stopped] = [SignalKind::Typing, SignalKind::Stopped].map(|kind| {
        let body = SignalBody { at: Timestamp(1_767_268_800_000), kind }.encode();
        ana.mls().seal_signal(GROUP, b"", &body).unwrap().len()
    });
    assert!(typing == stopped && typing <= Signal::BODY_MAX);
}

#[test]
fn a_device_without_its_users_word_gets_into_no_group() {
    let (ana, bo, forger) = (device(1, 11), device(2, 21), device(2, 22));
    // Says that it is Bo's, on its own word.
    let own = Own::linked(
        REALM,
        UserId::from_bytes([2; 16]),
        DeviceId::from_bytes([22; 16]),
        &Secret::new([22; 32]),
        &Secret::new([0x77; 32]),
    );
    let forger = Device { own: own.unwrap(), ..forger };
    let is_known = |leaf: &Leaf| match leaf.user {
        user if user == bo.own.leaf.user && leaf.identity_key != bo.own.leaf.identity_key => {
            Err(Fault::Untrusted(Distrust::Device, "another identity"))
        }
        _ => Ok(()),
    };
    let change = ana.mls().begin(GROUP, &[forger.package(), bo.package()], is_known).unwrap();
    assert_eq!(change.declared.added, [bo.entry()], "it is left out, the others are not");
    // A package under another's name, and one of another app.
    let mislabelled = KeyPackage { entry: bo.entry(), ..device(3, 31).package() };
    let stranger = device(2, 24);
    let seeds = (Secret::new([24; 32]), Secret::new([0x82; 32]));
    let other_app =
        Own::linked(RealmId::from_bytes([8; 16]), ana.own.leaf.user, stranger.own.leaf.device, &seeds.0, &seeds.1);
    let other_app = other_app.unwrap();
    let damaged = KeyPackage { body: vec![1, 2, 3].into(), ..bo.package() };
    let mls = Mls::new(&other_app, stranger.store.connection());
    assert_eq!(mls.begin(GROUP, &[bo.package()], anybody).unwrap().declared.added, [], "signed for another app");
    let fresh = device(1, 12);
    let change = fresh.mls().begin(GROUP, &[mislabelled, damaged], anybody).unwrap();
    assert!(change.declared.added.is_empty() && change.declared.welcome.is_empty());
    // Who joins looks at everybody who is there.
    let change = forger.mls().begin(GROUP, &[ana.package()], anybody).unwrap();
    let joined = device(1, 11).mls().join(&change.declared.welcome, None, is_known);
    assert!(joined.is_err());
    assert!(matches!(ana.mls().join(&change.declared.welcome, None, is_known), Err(Fault::Untrusted(..))));
}

/// A package of `device` with other keys: its own, and the one of its leaf.
fn package_with(device: &Device, init: Option<&[u8]>, leaf: Option<&[u8]>) -> KeyPackage {
    // Of a signature with its length (RFC 9000, section 16).
    const SIGNATURE: usize = 66;
    let made = made(device, SUITE, key_package::capabilities());
    // RFC 9420, section 5.1.2.
    let signed = |label: &str, content: &[u8]| {
        let to_be_signed =
            [label.as_bytes(), content].map(|part| VLByteVec::from(part).tls_serialize_detached().unwrap());
        let signature = device.own.signer.sign(&to_be_signed.concat()).unwrap();
        [content, &[0x40, 0x40], &signature].concat()
    };
    let mut inner = made.leaf_node().tls_serialize_detached().unwrap();
    let mut outer = made.tls_serialize_detached().unwrap();
    // Version and ciphersuite, a key with its length; the leaf, which begins with its key.
    let (key, inside) = (5..37, 37..37 + inner.len());
    assert_eq!(outer[inside.clone()], inner);
    inner.truncate(inner.len() - SIGNATURE);
    outer.truncate(outer.len() - SIGNATURE);
    if let Some(leaf) = leaf {
        inner[1..33].copy_from_slice(leaf);
    }
    if let Some(init) = init {
        outer[key].copy_from_slice(init);
    }
    outer[inside].copy_from_slice(&signed("MLS 1.0 LeafNodeTBS", &inner));
    KeyPackage { entry: device.entry(), body: signed("MLS 1.0 KeyPackageTBS", &outer).into() }
}

fn made(device: &Device, suite: Ciphersuite, capabilities: Capabilities) -> openmls::prelude::KeyPackage {
    let builder = openmls::prelude::KeyPackage::builder().leaf_node_capabilities(capabilities);
    let made = builder.build(suite, &device.mls().provider, &device.own.signer, device.own.credential.clone());
    made.unwrap().into_key_package()
}

#[test]
fn one_bad_key_package_keeps_nobody_else_out() {
    let (ana, bo, bad, cho) = (device(1, 11), device(2, 21), device(2, 22), device(2, 23));
    together(&ana, &[&cho]);
    let good = bo.package();
    let [init, leaf] = [5..37, 38..70].map(|key| good.body[key].to_vec());
    let wrap = |made: openmls::prelude::KeyPackage| KeyPackage {
        entry: bad.entry(),
        body: made.tls_serialize_detached().unwrap().into(),
    };
    let other_suite = crypto::CIPHERSUITES[1];
    let only_other_suite = Capabilities::new(None, Some(&[other_suite]), None, None, None);
    let (zero, one) = ([0; 32], {
        let mut one = [0; 32];
        one[0] = 1;
        one
    });
    let left_out = [
        ("another ciphersuite", wrap(made(&bad, other_suite, key_package::capabilities()))),
        ("does not speak what it is of", wrap(made(&bad, SUITE, only_other_suite))),
        ("another's key", package_with(&bad, Some(&init), None)),
        ("another's leaf", package_with(&bad, None, Some(&leaf))),
        ("another's leaf as its key", package_with(&bad, Some(&leaf), None)),
        ("a key of small order", package_with(&bad, Some(&zero), None)),
        ("a leaf of small order", package_with(&bad, None, Some(&one))),
        ("the same device again", bo.package()),
        ("who begins it", ana.package()),
    ];
    for (what, package) in left_out {
        let refused = [package.entry];
        let packages = [good.clone(), package];
        let begun = ana.mls().begin(GroupId([2; 16]), &packages, anybody).unwrap();
        let changed = ana.mls().change(GROUP, &packages, &[], anybody).unwrap();
        for change in [&begun, &changed] {
            assert_eq!(change.declared.added, [bo.entry()], "{what}");
            assert_eq!(change.refused.iter().map(|(entry, _)| *entry).collect::<Vec<_>>(), refused, "{what}");
        }
        ana.mls().withdraw(GROUP).unwrap();
        ana.mls().forget(GroupId([2; 16])).unwrap();
    }
    // It is not what these were made by that kept them out; and who leaves may come back.
    let packages = [good, package_with(&bad, None, None), cho.package()];
    let change = ana.mls().change(GROUP, &packages, &[cho.entry().device], anybody).unwrap();
    assert_eq!(change.declared.added, [bo.entry(), bad.entry(), cho.entry()]);
}

#[test]
fn a_commit_that_does_something_else_than_declared_is_not_followed() {
    let (ana, bo, cho, dan) = (device(1, 11), device(2, 21), device(2, 22), device(2, 23));
    together(&ana, &[&bo, &cho]);
    let change = ana.mls().change(GROUP, &[dan.package()], &[cho.entry().device], anybody).unwrap();
    let nobody = Commit { added: vec![], ..change.declared.clone() };
    let stays = Commit { removed: vec![], ..change.declared.clone() };
    let another = Commit { removed: vec![ana.entry()], ..change.declared.clone() };
    for declared in [nobody, stays, another] {
        let followed = bo.in_transaction(|mls| mls.follow(GROUP, &change.commit, &declared, anybody));
        assert!(matches!(followed, Err(Fault::Untrusted(..))), "{followed:?}");
    }
    let refused = bo.in_transaction(|mls| {
        mls.follow(GROUP, &change.commit, &change.declared, |_| {
            Err(Fault::Untrusted(Distrust::Device, "not in this conversation"))
        })
    });
    assert!(refused.is_err());
    bo.mls().follow(GROUP, &change.commit, &change.declared, anybody).unwrap();
}

/// Every write to the history fails once, at each step of a group's life; the step is undone, done again, and all is well.
#[test]
fn a_crash_at_any_write_breaks_no_group() {
    let (ana, bo, cho) = (device(1, 11), device(2, 21), device(2, 22));
    let package = crashing(&bo, |mls| mls.key_package(false));
    let package = KeyPackage { entry: bo.entry(), body: package };
    let begun = crashing(&ana, |mls| mls.begin(GROUP, std::slice::from_ref(&package), anybody));
    crashing(&ana, |mls| mls.merge(GROUP));
    crashing(&bo, |mls| mls.join(&begun.declared.welcome, None, anybody));
    let sealed = crashing(&ana, |mls| mls.seal(GROUP, b"header", b"one"));
    assert_eq!(crashing(&bo, |mls| mls.open(GROUP, b"header", &sealed)).content, b"one");
    crashing(&bo, |mls| mls.change(GROUP, &[cho.package()], &[], anybody));
    crashing(&bo, |mls| mls.withdraw(GROUP));
    let change = crashing(&ana, |mls| mls.change(GROUP, &[cho.package()], &[], anybody));
    crashing(&ana, |mls| mls.merge(GROUP));
    crashing(&bo, |mls| mls.follow(GROUP, &change.commit, &change.declared, anybody));
    cho.mls().join(&change.declared.welcome, None, anybody).unwrap();
    bo.says("two", &[&ana, &cho]);
    cho.says("three", &[&ana, &bo]);
    crashing(&ana, |mls| mls.forget(GROUP));
    assert!(matches!(ana.mls().members(GROUP), Err(Fault::NoGroup)));
    let left: u32 = ana.store.connection().query_row("SELECT count(*) FROM mls", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0, "nothing is left of it");
}

/// Groups are kept in memory for what is said next.
#[test]
fn what_is_rolled_back_is_not_remembered() {
    let (ana, bo) = (device(1, 11), device(2, 21));
    together(&ana, &[&bo]);
    let sql = |device: &Device, sql: &str| device.store.connection().execute_batch(sql).unwrap();
    let given_up = |device: &Device, work: &dyn Fn(&Mls<'_>)| {
        sql(device, "SAVEPOINT step");
        work(&device.mls());
        sql(device, "ROLLBACK TO step; RELEASE step");
    };
    ana.says("before", &[&bo]);
    given_up(&ana, &|mls| drop(mls.seal(GROUP, b"header", b"never sent").unwrap()));
    let sealed = ["one", "two"].map(|text| ana.mls().seal(GROUP, b"header", text.as_bytes()).unwrap());
    let reads = |mls: &Mls<'_>| {
        for (sealed, text) in sealed.iter().zip(["one", "two"]) {
            assert_eq!(mls.open(GROUP, b"header", sealed).unwrap().content, text.as_bytes());
        }
    };
    given_up(&bo, &reads);
    given_up(&bo, &reads);
    let change = ana.mls().change(GROUP, &[], &[bo.entry().device], anybody).unwrap();
    given_up(&bo, &|mls| {
        mls.follow(GROUP, &change.commit, &change.declared, anybody).unwrap();
        assert!(matches!(mls.open(GROUP, b"header", &sealed[0]), Err(Fault::NoGroup)));
    });
    given_up(&bo, &|mls| mls.forget(GROUP).unwrap());
    reads(&bo.mls());
    bo.mls().follow(GROUP, &change.commit, &change.declared, anybody).unwrap();
    assert!(matches!(bo.mls().members(GROUP), Err(Fault::NoGroup)));
}

/// Lets the first write fail, then the second, and so on, until none is left to fail.
fn crashing<T>(device: &Device, step: impl Fn(&Mls<'_>) -> Result<T, Fault>) -> T {
    let db = device.store.connection();
    let set = |writes: u32| {
        db.execute_batch("CREATE TEMP TABLE IF NOT EXISTS countdown (writes INTEGER)").unwrap();
        for (event, name) in [("INSERT", "i"), ("UPDATE", "u"), ("DELETE", "d")] {
            let sql = format!(
                "CREATE TEMP TRIGGER IF NOT EXISTS fail_{name} BEFORE {event} ON main.mls BEGIN
                     UPDATE countdown SET writes = writes - 1;
                     SELECT raise(ABORT, 'crash') FROM countdown WHERE writes = 0;
                 END"
            );
            db.execute_batch(&sql).unwrap();
        }
        db.execute("DELETE FROM countdown", []).unwrap();
        db.execute("INSERT INTO countdown VALUES (?)", [writes]).unwrap();
    };
    for writes in 1..1_000 {
        set(writes);
        match device.in_transaction(&step) {
            Err(Fault::Store(_)) => {}
            Err(fault) => panic!("write {writes}: {fault}"),
            Ok(done) => {
                assert!(writes > 1, "nothing was written");
                set(0);
                return done;
            }
        }
    }
    panic!("writes without end")
}

/// Values lie in the history by position, so whatever lays them out otherwise (another openmls, another codec) cannot read them, and
/// would perhaps read something else. It comes with a migration that deletes them as [`crate::store::forget_groups`] does, and then
/// with another `written.sql` (`CHASQUI_BLESS=1`), which has what a device wrote at each step of this test's first half.
#[test]
fn the_format_is_that_of_this_schema() {
    let (ana, bo, cho) = (device(1, 11), device(2, 21), device(2, 22));
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/e2ee/written.sql");
    if std::env::var_os("CHASQUI_BLESS").is_some() {
        together(&ana, &[&bo]);
        let said = bo.mls().seal(GROUP, b"header", b"said").unwrap();
        let change = ana.mls().change(GROUP, &[cho.package()], &[], anybody).unwrap();
        let elsewhere = cho.mls().begin(GroupId([2; 16]), &[ana.package()], anybody).unwrap();
        let written = [("said", said.as_ref()), ("welcome", &elsewhere.declared.welcome)];
        assert!(!change.is_empty());
        std::fs::write(path, dump(&ana, &written)).unwrap();
    }
    let ana = device(1, 11);
    let db = ana.store.connection();
    db.execute_batch("CREATE TEMP TABLE written (name TEXT, message BLOB)").unwrap();
    db.execute_batch(&std::fs::read_to_string(path).unwrap()).unwrap();
    let written = |name: &str| -> Vec<u8> {
        db.query_row("SELECT message FROM written WHERE name = ?", [name], |row| row.get(0)).unwrap()
    };
    assert_eq!(ana.mls().open(GROUP, b"header", &written("said")).unwrap().content, b"said");
    ana.mls().merge(GROUP).unwrap();
    assert_eq!(ana.members(), [ana.entry(), bo.entry(), cho.entry()]);
    assert_eq!(ana.mls().join(&written("welcome"), None, anybody).unwrap().group, GroupId([2; 16]));
}

/// What a device keeps, and messages to it, as statements.
fn dump(device: &Device, messages: &[(&str, &[u8])]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut query = device.store.connection().prepare("SELECT label, key, item, value FROM mls ORDER BY id").unwrap();
    let kept = query.query_map([], |row| {
        let blob = |column| row.get::<_, Vec<u8>>(column).map(|bytes| hex(&bytes));
        let (label, key, item, value) = (row.get::<_, u8>(0)?, blob(1)?, blob(2)?, blob(3)?);
        let row = format!("({label}, x'{key}', x'{item}', x'{value}')");
        Ok(format!("INSERT INTO mls (label, key, item, value) VALUES {row};\n"))
    });
    let messages = messages.iter().map(|(name, message)| {
        let message = hex(message);
        format!("INSERT INTO written VALUES ('{name}', x'{message}');\n")
    });
    kept.unwrap().map(Result::unwrap).chain(messages).collect()
}

impl Mls<'_> {
    /// A commit by which this device's leaf says that it is another device, of another user, on the word of a key that anybody can
    /// make.
    pub(crate) fn renew_as(&self, id: GroupId, user: UserId, device: DeviceId, identity_seed: &Secret) -> Change {
        let own = &self.own;
        let link = sign_with(identity_seed, &signing::link(own.realm, user, device, &own.leaf.key));
        let leaf = Leaf { user, device, key: own.leaf.key, identity_key: public_key(identity_seed) };
        let credential = super::credential::credential(&leaf, &link);
        let credential = CredentialWithKey { credential, signature_key: own.leaf.key.as_slice().into() };
        let parameters = openmls::prelude::LeafNodeParameters::builder().with_credential_with_key(credential).build();
        let mut group = self.load(id).unwrap();
        let bundle = group
            .commit_builder()
            .leaf_node_parameters(parameters)
            .load_psks(&self.provider.storage)
            .unwrap()
            .build(&self.provider.crypto, &self.provider.crypto, &self.own.signer, |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        let commit: bytes::Bytes = bundle.commit().to_bytes().unwrap().into();
        let hash = ring::digest::digest(&ring::digest::SHA256, &commit).as_ref().try_into().unwrap();
        let declared = Commit { hash, added: vec![], removed: vec![], begins: false, welcome: bytes::Bytes::new() };
        Change { commit, declared, refused: vec![] }
    }
}

#[test]
fn a_commit_by_which_a_leaf_becomes_somebody_else_is_not_followed() {
    let (ana, laptop, bo) = (device(1, 11), device(1, 12), device(2, 21));
    together(&ana, &[&laptop, &bo]);
    let other = [
        (ana.entry(), Secret::new([0x77; 32])),
        // Of his own user, too: another device, or another identity.
        (RosterEntry { user: bo.entry().user, device: DeviceId::from_bytes([22; 16]) }, Secret::new([0x77; 32])),
        (bo.entry(), Secret::new([0x77; 32])),
    ];
    for (entry, seed) in other {
        let change = bo.mls().renew_as(GROUP, entry.user, entry.device, &seed);
        let followed = laptop.in_transaction(|mls| mls.follow(GROUP, &change.commit, &change.declared, anybody));
        assert!(matches!(followed, Err(Fault::Untrusted(Distrust::Change, _))), "{followed:?}");
        bo.mls().withdraw(GROUP).unwrap();
    }
    bo.says("as himself", &[&ana, &laptop]);
}
