//! What the line is asked by the session and its swarms.

use segment::SwarmId;
use tokio::sync::{oneshot, watch};

use super::Line;
use crate::protocol::{Parameters, Publication, Request};
use crate::session::member::Member;
use crate::session::{Joined, Part, SessionError};

/// Wishes that wait for an answer.
const MAX_PENDING: usize = 256;

/// What the line is asked.
pub(crate) enum Ask {
    Join {
        channel: String,
        rendition: Option<String>,
        part: Part,
        reply: Reply,
    },
    Publish {
        publication: watch::Receiver<Publication>,
        part: Part,
        reply: Reply,
    },
    Republish {
        swarm: SwarmId,
    },
    FindPeers {
        swarm: SwarmId,
    },
    Left {
        swarm: SwarmId,
        instance: u64,
    },
    /// Something that is said again anyway: if rendezvous is away, it is dropped.
    Say(Request),
}

pub(crate) type Reply = oneshot::Sender<Result<Joined, SessionError>>;

/// A join or publication that rendezvous has not answered.
pub(super) struct Pending {
    pub(super) channel: String,
    pub(super) rendition: Option<String>,
    pub(super) publication: Option<watch::Receiver<Publication>>,
    pub(super) part: Part,
    pub(super) reply: Reply,
}

impl Pending {
    pub(super) fn request(&self) -> Request {
        match &self.publication {
            Some(publication) => Request::Publish(publication.borrow().clone()),
            None => {
                Request::Join { channel: self.channel.clone(), rendition: self.rendition.clone() }
            }
        }
    }

    pub(super) fn is_answered_by(&self, parameters: &Parameters) -> bool {
        self.channel == parameters.channel
            && self.rendition.as_ref().is_none_or(|name| *name == parameters.rendition)
    }
}

impl Line {
    pub(super) fn asked(&mut self, ask: Ask) {
        let book = &mut self.book;
        match ask {
            Ask::Join { channel, rendition, part, reply } => {
                self.want(Pending { channel, rendition, publication: None, part, reply });
            }
            Ask::Publish { mut publication, part, reply } => {
                let Parameters { channel, rendition, .. } =
                    publication.borrow_and_update().parameters.clone();
                let (rendition, publication) = (Some(rendition), Some(publication));
                self.want(Pending { channel, rendition, publication, part, reply });
            }
            Ask::Republish { swarm } => {
                book.out.extend(book.members.get(&swarm).map(announcement));
            }
            Ask::FindPeers { swarm } => {
                if book.members.contains_key(&swarm) {
                    book.out.push(Request::FindPeers { swarm: swarm.0 });
                }
            }
            Ask::Left { swarm, instance } => {
                if book.members.get(&swarm).is_some_and(|member| member.instance == instance) {
                    book.members.remove(&swarm);
                    book.out.push(Request::Leave { swarm: swarm.0 });
                }
            }
            Ask::Say(request) => book.out.push(request),
        }
    }

    fn want(&mut self, pending: Pending) {
        let book = &mut self.book;
        book.pending.retain(|pending| !pending.reply.is_closed());
        if book.pending.len() >= MAX_PENDING {
            let full = SessionError::Refused("too many channels are being joined".into());
            let _ = pending.reply.send(Err(full));
            return;
        }
        book.out.push(pending.request());
        book.pending.push(pending);
    }
}

/// What makes rendezvous know of a swarm.
pub(super) fn announcement(member: &Member) -> Request {
    match &member.publication {
        Some(publication) => Request::Publish(publication.borrow().clone()),
        None => Request::Join {
            channel: member.parameters.channel.clone(),
            rendition: Some(member.parameters.rendition.clone()),
        },
    }
}
