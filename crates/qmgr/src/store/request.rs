//! What the callers ask of the thread. Records are encoded on the caller's side.

use bytes::Bytes;
use envelope::QueueId;

use super::post::{Answer, Post};
use super::{
    Change, Content, Counts, Due, Fate, Meta, NewContent, NewMessage, Page, StoreError, Update,
};
use crate::record::{Millis, Queued, Record, RecordError};
use crate::spool::SpoolFile;

#[derive(Debug)]
pub(super) enum Request {
    Submit(Box<Rows>, Answer<()>),
    Change(Vec<EncodedChange>, Option<Answer<()>>),
    SetMeta(Vec<(Meta, u64)>, Answer<()>),
    Read(Read),
    Close(Answer<()>),
}

#[derive(Debug)]
pub(super) enum Read {
    Look(Vec<QueueId>, Answer<Vec<Queued>>),
    Content(QueueId, Answer<Option<Content>>),
    Due { after: Option<Due>, limit: usize, answer: Answer<Vec<Due>> },
    Page { after: Option<QueueId>, limit: usize, answer: Answer<Page> },
    Damaged(Vec<QueueId>, Answer<Vec<QueueId>>),
    Counts(Answer<Counts>),
    Meta(Meta, Answer<Option<u64>>),
}

impl Request {
    /// Bytes of new messages.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Submit(rows, _) => rows.weight(),
            Self::Change(changes, _) => changes.iter().map(EncodedChange::weight).sum(),
            Self::SetMeta(..) | Self::Read(_) | Self::Close(_) => 0,
        }
    }

    /// Answers with an error.
    pub(super) fn refuse(self, error: &StoreError, post: &mut Post) {
        match self {
            Self::Submit(_, answer) | Self::SetMeta(_, answer) | Self::Close(answer) => {
                post.answer(answer, Err(error.clone()));
            }
            Self::Change(_, answer) => {
                answer.into_iter().for_each(|answer| post.answer(answer, Err(error.clone())));
            }
            Self::Read(read) => read.refuse(error, post),
        }
    }
}

impl Read {
    pub(super) fn refuse(self, error: &StoreError, post: &mut Post) {
        let error = error.clone();
        match self {
            Self::Look(_, answer) => post.answer(answer, Err(error)),
            Self::Content(_, answer) => post.answer(answer, Err(error)),
            Self::Due { answer, .. } => post.answer(answer, Err(error)),
            Self::Page { answer, .. } => post.answer(answer, Err(error)),
            Self::Damaged(_, answer) => post.answer(answer, Err(error)),
            Self::Counts(answer) => post.answer(answer, Err(error)),
            Self::Meta(_, answer) => post.answer(answer, Err(error)),
        }
    }
}

/// A new message as the rows of the tables.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) id: QueueId,
    pub(super) due: Millis,
    pub(super) held: bool,
    pub(super) record: Vec<u8>,
    pub(super) recipients: Vec<Vec<u8>>,
    pub(super) content: Option<Bytes>,
    /// Kept until the record that names it is durable, then forgotten.
    pub(super) file: Option<SpoolFile>,
}

impl Rows {
    /// Bytes to be written.
    pub(super) fn weight(&self) -> usize {
        let recipients: usize = self.recipients.iter().map(Vec::len).sum();
        self.record.len() + recipients + self.content.as_ref().map_or(0, Bytes::len)
    }

    /// The record that names the file is durable.
    pub(super) fn keep(self) {
        if let Some(file) = self.file {
            file.keep();
        }
    }
}

#[derive(Debug)]
pub(super) struct EncodedChange {
    pub(super) id: QueueId,
    pub(super) fate: EncodedFate,
    pub(super) enqueue: Vec<Rows>,
}

impl EncodedChange {
    /// Bytes of new messages.
    pub(super) fn weight(&self) -> usize {
        self.enqueue.iter().map(Rows::weight).sum()
    }

    /// The message cannot be read.
    pub(super) const fn set_aside(id: QueueId) -> Self {
        Self { id, fate: EncodedFate::SetAside, enqueue: Vec::new() }
    }

    /// The records that name the files are durable, or may be.
    pub(super) fn keep_files(self) {
        self.enqueue.into_iter().for_each(Rows::keep);
    }
}

#[derive(Debug)]
pub(super) enum EncodedFate {
    Retired,
    Stays(EncodedUpdate),
    /// It cannot be read.
    SetAside,
}

#[derive(Debug)]
pub(super) struct EncodedUpdate {
    pub(super) due: Option<Millis>,
    pub(super) held: Option<bool>,
    pub(super) quarantine: Option<String>,
    pub(super) warned: Option<bool>,
    pub(super) recipients: Vec<(u32, Option<Vec<u8>>)>,
}

pub(super) fn encode(message: NewMessage) -> Result<Rows, RecordError> {
    let NewMessage { id, record, recipients, content } = message;
    let (content, file) = match content {
        NewContent::Inline(bytes) => (Some(bytes), None),
        NewContent::File(file) => (None, Some(file)),
    };
    Ok(Rows {
        id,
        due: record.due,
        held: record.held,
        record: record.encode()?,
        recipients: recipients.iter().map(Record::encode).collect::<Result<_, _>>()?,
        content,
        file,
    })
}

pub(super) fn encode_change(change: Change) -> Result<EncodedChange, RecordError> {
    let Change { id, fate, enqueue } = change;
    let fate = match fate {
        Fate::Retired => EncodedFate::Retired,
        Fate::Stays(Update { due, held, quarantine, warned, recipients }) => {
            let recipients = recipients
                .into_iter()
                .map(|(number, record)| Ok((number, record.map(|it| it.encode()).transpose()?)))
                .collect::<Result<_, RecordError>>()?;
            EncodedFate::Stays(EncodedUpdate { due, held, quarantine, warned, recipients })
        }
    };
    Ok(EncodedChange {
        id,
        fate,
        enqueue: enqueue.into_iter().map(encode).collect::<Result<_, _>>()?,
    })
}
