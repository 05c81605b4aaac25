//! A disk that is full: nothing is acknowledged, nothing is half there, and it goes on when there is room.

use super::*;

impl Ana {
    /// Not one page more than the history has now; `false` = as much as it likes.
    fn fill_disk(&self, is_full: bool) {
        let db = self.store.connection();
        // What is free in the file now is used up first.
        db.execute_batch("VACUUM").unwrap();
        let pages: u32 = db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        let limit = if is_full { pages } else { u32::MAX };
        db.query_row(&format!("PRAGMA max_page_count = {limit}"), [], |_| Ok(())).unwrap();
    }

    fn try_handle(&mut self, inputs: Vec<Input>) -> Result<Step, StoreError> {
        self.engine.handle(&mut self.store, self.now, inputs)
    }

    fn count(&self, table: &str) -> u32 {
        let sql = format!("SELECT count(*) FROM {table}");
        self.store.connection().query_row(&sql, [], |row| row.get(0)).unwrap()
    }

    /// As a driver does after a step that failed.
    fn load_anew(&mut self) {
        self.engine = Engine::load(&self.store, 7).unwrap();
        self.engine.name_sockets_after(self.socket);
    }
}

fn long(number: u128, at: u64) -> EntryKind {
    text(number, at, &"x".repeat(20_000))
}

#[test]
fn mail_is_not_acknowledged_and_comes_again() {
    let mut ana = Ana::online();
    ana.fill_disk(true);
    let entries = (1..=3).map(|at| Entry { number: at, kind: long(100 + u128::from(at), at) }).collect();
    let frame = NodeFrame::Deliver(Deliver { entries }).encode();
    let failed = ana.try_handle(vec![Input::Frame(ana.socket, frame)]).unwrap_err();
    assert!(failed.is_storage_full(), "{failed}");
    assert_eq!((ana.count("message"), ana.count("poison")), (0, 0), "nothing is half there");
    assert!(ana.store.probe_room().is_err_and(|error| error.is_storage_full()));

    ana.fill_disk(false);
    ana.store.probe_room().unwrap();
    ana.load_anew();
    ana.reconnect();
    let acks = ana.deliver((1..=3).map(|at| long(100 + u128::from(at), at)).collect());
    assert_eq!(acks, [(1, AckOutcome::Stored), (2, AckOutcome::Stored), (3, AckOutcome::Stored)]);
    assert_eq!(ana.texts().len(), 3);
}

#[test]
fn the_app_is_told_and_may_try_again() {
    let mut ana = Ana::online();
    ana.fill_disk(true);
    let send = Command::SendText { conversation: chat(), message: id(1), text: "x".repeat(20_000) };
    let failed = ana.try_handle(vec![Input::Command(CommandId(1), send.clone())]).unwrap_err();
    let told = Error::from(failed);
    assert_eq!((&told, told.is_retryable()), (&Error::StorageFull, true));
    assert_eq!((ana.count("message"), ana.count("outbox")), (0, 0));

    ana.fill_disk(false);
    ana.load_anew();
    let step = ana.handle(vec![Input::Command(CommandId(2), send)]);
    let is_done = |output: &Output| matches!(output, Output::Reply(CommandId(2), Ok(Reply::Message(_))));
    assert!(step.outputs.iter().any(is_done), "{step:?}");
    assert_eq!(ana.state_of(1), MessageState::Pending);
}

#[test]
fn what_was_there_can_still_be_read_and_room_for_a_step_is_kept() {
    let mut ana = Ana::online();
    ana.deliver(vec![text(101, 1, "hello")]);
    ana.store.probe_room().unwrap();
    let db = ana.store.connection();
    let free: u32 = db.pragma_query_value(None, "freelist_count", |row| row.get(0)).unwrap();
    assert!(free > 32, "{free} free pages");
    let pages: u32 = db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    assert_eq!(ana.texts().len(), 1);
    assert_eq!(ana.deliver(vec![long(102, 2)]), [(1, AckOutcome::Stored)]);
}
