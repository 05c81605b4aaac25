//! Pages and search over a local history.

use chasqui::{ConversationId, Cursor, TimelineItem, TimelinePage};

use crate::stage::{Device, Pair, Relay, text};

fn texts(page: &TimelinePage) -> Vec<String> {
    page.items.iter().filter_map(TimelineItem::message).map(text).collect()
}

/// 120 lines in one's own notes, written offline.
async fn history() -> (Relay, Device, ConversationId, Vec<String>) {
    let relay = Relay::start().await;
    let ana = Device::registered(&relay, "ana").await;
    let notes = ana.open_readable(ana.user().await).await.unwrap();
    let written: Vec<String> = (0..120).map(|number| format!("note {number}")).collect();
    for text in &written {
        ana.send_text(notes, text.as_str()).await.unwrap();
    }
    (relay, ana, notes, written)
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_lead_back_and_forth() {
    let (mut relay, mut ana, notes, written) = history().await;
    for is_accepted in [false, true] {
        if is_accepted {
            ana.until(notes, "all to be accepted", |all| all.iter().all(|message| message.seq.is_some())).await;
        }
        let (mut pages, mut before): (Vec<TimelinePage>, Option<Cursor>) = (Vec::new(), None);
        loop {
            let page = ana.timeline(notes, before, 25).await.unwrap();
            assert!(page.items.len() == 25 || page.older.is_none());
            before = page.older;
            pages.insert(0, page);
            if before.is_none() {
                break;
            }
        }
        assert_eq!(pages.iter().map(|page| page.items.len()).collect::<Vec<_>>(), [20, 25, 25, 25, 25]);
        assert_eq!(pages.iter().flat_map(texts).collect::<Vec<_>>(), written, "backwards");
        assert_eq!(pages.last().unwrap().newer, None, "the newest page is the end");

        let mut forwards = texts(&pages[0]);
        let mut after = pages[0].newer;
        while let Some(cursor) = after {
            let page = ana.timeline_after(notes, cursor, 30).await.unwrap();
            forwards.extend(texts(&page));
            after = page.newer;
        }
        assert_eq!(forwards, written, "forwards");
    }
    // A history is read without a node.
    relay.stop().await;
    ana.reopen(&relay).await;
    assert_eq!(ana.texts(notes).await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hit_opens_its_surroundings() {
    let (_relay, ana, notes, written) = history().await;
    let hits = ana.search("note 60", 10).await.unwrap();
    assert_eq!(hits.len(), 1);
    let before = ana.timeline(notes, Some(hits[0].cursor), 3).await.unwrap();
    assert_eq!(texts(&before), written[57..60]);
    let after = ana.timeline_after(notes, hits[0].cursor, 3).await.unwrap();
    assert_eq!(texts(&after), written[61..64]);
    // Cursors stay valid while messages come and go.
    let gone = before.items[2].message().unwrap().id;
    ana.until(notes, "it to be accepted", |all| all.iter().any(|message| message.id == gone && message.seq.is_some()))
        .await;
    ana.delete(gone).await.unwrap();
    let before = ana.timeline(notes, Some(hits[0].cursor), 3).await.unwrap();
    assert_eq!(texts(&before), written[56..59]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_nothing() {
    let Pair { relay: _relay, bo: _bo, ana, chat } = Pair::meet().await;
    let empty = TimelinePage { items: vec![], older: None, newer: None };
    assert_eq!(ana.timeline(chat, None, 10).await.unwrap(), empty);
    let unknown = "0190f5f0-0000-7000-8000-000000000001".parse().unwrap();
    assert_eq!(ana.timeline(unknown, None, 10).await.unwrap(), empty);
    ana.send_text(chat, "hi").await.unwrap();
    assert_eq!(ana.timeline(chat, None, 0).await.unwrap().items, []);
    assert_eq!(ana.conversations(0).await.unwrap(), []);
    assert_eq!(ana.timeline(chat, None, u32::MAX).await.unwrap().items.len(), 1);
    assert_eq!(ana.conversations(u32::MAX).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn search_finds_words_and_scripts_without_spaces() {
    let Pair { relay: _relay, ana, bo, chat } = Pair::meet().await;
    let written = [
        "Nos vemos en el CAFÉ mañana",
        "我们明天去北京吃饭",
        "東京タワーで会いましょう",
        "내일 서울에서 만나요",
        "พรุ่งนี้ไปกินข้าวกัน",
        "my iPhone手机 is lost",
    ];
    for text in written {
        ana.send_text(chat, text).await.unwrap();
    }
    bo.gets(chat, written[5]).await;
    let queries: [(&str, &[usize]); 12] = [
        ("cafe", &[0]),
        ("manan vemos", &[0]),
        ("afe", &[]),
        ("北京", &[1]),
        ("饭", &[1]),
        ("京", &[2, 1]),
        ("タワー", &[2]),
        ("서울", &[3]),
        ("ข้าว", &[4]),
        ("手机 iphone", &[5]),
        ("\" OR *", &[]),
        ("", &[]),
    ];
    for device in [&ana, &bo] {
        for (query, wanted) in queries {
            let hits = device.search(query, 10).await.unwrap();
            let found: Vec<String> = hits.iter().map(|hit| text(&hit.message)).collect();
            assert_eq!(
                found,
                wanted.iter().map(|&index| written[index]).collect::<Vec<_>>(),
                "{query:?}, newest first"
            );
            assert!(hits.iter().all(|hit| hit.message.conversation == chat));
        }
        assert_eq!(device.search("京", 1).await.unwrap().len(), 1, "no more than asked for");
    }
}
