//! A queue that is only looked at.

use std::io::ErrorKind::NotFound;

use super::*;

/// Every file with what it holds.
fn files(place: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.is_file());
    let mut files: Vec<_> = files.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

async fn look(directory: &Path) -> Store {
    Store::at_rest(directory).await.unwrap()
}

#[test]
fn what_is_looked_at_stays_as_it_is() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        let (store, _) = open(place.path()).await;
        for number in 1..=3 {
            store.submit(message(number, &["a@x", "b@x"])).await.unwrap();
        }
        store.set_meta(vec![(Meta::LastSeen, 7)]).await.unwrap();
        store.close().await;
        let row = overwrite(place.path(), 2, &[99]);
        let before = files(place.path());
        let store = look(place.path()).await;
        let page = store.page(None, 2).await.unwrap();
        let shown: Vec<_> = page.messages.iter().map(|it| (it.id, it.recipients.len())).collect();
        assert_eq!((shown, page.next), (vec![(id(1), 2), (id(3), 2)], None));
        assert_eq!(store.look(vec![id(3)]).await.unwrap().len(), 1);
        assert_eq!(store.meta(Meta::LastSeen).await, Ok(Some(7)));
        assert_eq!(store.counts().await.unwrap(), Counts { messages: 3, held: 0, damaged: 0 });
        for refused in [
            store.submit(message(4, &["a@x"])).await,
            store.change(vec![retired(1)]).await,
            store.set_meta(vec![(Meta::LastSeen, 8)]).await,
            store.spool(id(5)).await.map(drop),
        ] {
            assert_eq!(refused, Err(StoreError::at_rest()));
        }
        assert_eq!(store.outcome(retired(1)).await, Err(StoreError::Closed));
        store.close().await;
        assert_eq!(store.counts().await, Err(StoreError::Closed));
        assert_eq!(files(place.path()), before);
        overwrite(place.path(), 2, &row);
    });
}

/// However much is looked at, and before the patience of who starts is over.
#[test]
fn a_queue_manager_that_starts_meanwhile_gets_the_queue() {
    run(async || {
        let place = tempfile::tempdir().unwrap();
        open(place.path()).await.0.close().await;
        let onlooker = look(place.path()).await;
        let looks = async {
            loop {
                match onlooker.counts().await {
                    Ok(counts) => assert_eq!(counts, Counts::default()),
                    Err(error) => return error.to_string(),
                }
            }
        };
        let (started, said) = tokio::join!(Store::open(place.path(), OPTIONS), looks);
        let (store, _) = started.unwrap();
        assert!(said.contains("the mail system runs again"), "{said}");
        store.submit(message(1, &["a@x"])).await.unwrap();
        store.close().await;
        assert_eq!(onlooker.counts().await.unwrap().messages, 1);
    });
}

#[test]
fn a_queue_that_cannot_be_shown_is_told_apart() {
    run(async || {
        let (place, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let refused = async || Store::at_rest(copy.path()).await.unwrap_err();
        let file = copy.path().join("queue.redb");
        let missing = refused().await;
        assert!(matches!(&missing, OpenError::Io { error, .. } if error.kind() == NotFound));
        let (store, _) = open(place.path()).await;
        store.submit(message(1, &["a@x"])).await.unwrap();
        // As after a crash.
        fs::copy(place.path().join("queue.redb"), &file).unwrap();
        assert!(matches!(refused().await, OpenError::NotClosed(_)));
        store.close().await;
        let whole = fs::read(place.path().join("queue.redb")).unwrap();
        // The version of the format, in each of the two slots of redb's header.
        let other = |version| {
            let mut bytes = whole.clone();
            [bytes[64], bytes[192]] = [version; 2];
            fs::write(&file, &bytes).unwrap();
        };
        for version in [2, 9] {
            other(version);
            let error = refused().await;
            assert!(matches!(error, OpenError::OtherRelease { .. }), "{version}: {error}");
        }
        fs::write(&file, "no queue").unwrap();
        assert!(matches!(refused().await, OpenError::NotAQueue { .. }));
        fs::write(&file, &whole).unwrap();
        assert_eq!(look(copy.path()).await.counts().await.unwrap().messages, 1);
    });
}
