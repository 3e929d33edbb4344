//! Tests of the members that the last process published.

use std::time::Duration;

use helios::backplane::{
    Backplane, Lease, MemberChange, MemberChangeKind, NodeId, PutAnswer, Tables,
};

use crate::support::{Running, log};

const TOPIC: &str = "room:tea";

async fn lease(tables: &dyn Tables) -> Lease {
    tables.lease(NodeId::new(7).unwrap(), None).await.unwrap()
}

async fn put(tables: &dyn Tables, lease: Lease, key: &str) -> Option<MemberChange> {
    match tables.put(lease, TOPIC, key, "1", true, 100).await.unwrap() {
        PutAnswer::Kept(change) => change,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn members_that_stay_away_after_a_restart_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(log(folder.path())).await.unwrap();
    let tables = running.log.tables().unwrap();
    let before = lease(tables).await;
    for key in ["ann", "bob", "cy"] {
        let joined = put(tables, before, key).await.unwrap();
        assert_eq!(tables.told(before, &joined).await.unwrap(), None);
    }
    // This member has left for good.
    let left = tables
        .remove(before, TOPIC, "cy", Some(Duration::ZERO))
        .await;
    let told = tables.told(before, &left.unwrap().unwrap()).await;
    assert_eq!(told.unwrap(), None);
    running.log.stop().await;

    let running = Running::start(log(folder.path())).await.unwrap();
    let tables = running.log.tables().unwrap();
    let rows = tables.read(TOPIC).await.unwrap();
    let keys: Vec<_> = rows.iter().map(|row| &*row.key).collect();
    assert_eq!(keys, ["ann", "bob"]);
    let now = lease(tables).await;
    assert_eq!(put(tables, now, "ann").await, None);
    for _ in 0..4 {
        tokio::time::advance(Duration::from_secs(4)).await;
        let renewed = tables.lease(now.node, Some(now.incarnation)).await;
        assert_eq!(renewed.unwrap(), now);
    }
    let lost = tables.reap(now).await.unwrap();
    assert_eq!(lost.len(), 1);
    assert_eq!(&*lost[0].key, "bob");
    assert_eq!(lost[0].kind, MemberChangeKind::Left { is_lost: true });
    running.log.stop().await;
}

#[tokio::test]
async fn an_old_farewell_does_not_remove_a_member_that_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(log(folder.path())).await.unwrap();
    let tables = running.log.tables().unwrap();
    let lease = lease(tables).await;
    let joined = put(tables, lease, "ann").await.unwrap();
    tables.told(lease, &joined).await.unwrap();
    let left = tables
        .remove(lease, TOPIC, "ann", Some(Duration::ZERO))
        .await;
    let left = left.unwrap().unwrap();
    tables.told(lease, &left).await.unwrap();
    let joined = put(tables, lease, "ann").await.unwrap();
    tables.told(lease, &joined).await.unwrap();
    tables.told(lease, &left).await.unwrap();
    running.log.stop().await;

    let running = Running::start(log(folder.path())).await.unwrap();
    let rows = running.log.tables().unwrap().read(TOPIC).await.unwrap();
    assert_eq!(rows.len(), 1);
}
