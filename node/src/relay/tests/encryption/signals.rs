//! Signals are of the group as it is now.

use chasqui_wire::Signal;

use super::*;

fn given(pair: &mut Pair, from: SessionId, epoch: u64) -> Vec<SessionId> {
    let signal = Signal { conversation: secret(), sender: None, body: bytes("sealed"), epoch };
    let events = pair.world.relay.signal(pair.world.now, from, &signal);
    events.into_iter().map(|(to, _)| to).collect()
}

#[test]
fn a_signal_is_of_the_present_epoch_and_goes_to_devices_of_the_group() {
    let mut pair = Pair::linked();
    let (ana, bo) = (pair.ana, pair.bo);
    assert_eq!(given(&mut pair, ana, 0), [], "there is no group yet");
    let mut pair = Pair::met();
    let laptop = pair.linked_device(BO, BO_LAPTOP);
    assert_eq!(given(&mut pair, ana, 1), [bo], "the laptop is not in it yet");
    assert_eq!(given(&mut pair, bo, 1), [ana]);
    assert_eq!(given(&mut pair, laptop, 1), [], "nor may it signal");
    assert_eq!(given(&mut pair, ana, 0), []);
    assert_eq!(given(&mut pair, ana, 2), []);
    pair.publish(ana, commit((ANA, BO), 2, 1, &[BOS_LAPTOP], &[])).unwrap();
    pair.take_mail(bo);
    pair.take_mail(laptop);
    assert_eq!(given(&mut pair, ana, 1), [], "an epoch ago");
    assert_eq!(given(&mut pair, ana, 2), [bo, laptop]);
    assert_eq!(given(&mut pair, laptop, 2), [ana]);
    pair.world.relay.revoke(pair.world.now, BO, BO_LAPTOP).unwrap().0.unwrap();
    assert_eq!(given(&mut pair, ana, 2), [bo]);
}
