//! Ways to other viewers, found by connectivity checks (ICE, RFC 8445) that rendezvous introduces.
//!
//! One agent for each peer that is being met. Both ends send checks at once from the node's own socket, so that both
//! routers let the other's in; then the one that asked dials, over the way that was found. Nothing found here is
//! trusted: who the other is is proved by the connection.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use bytes::Bytes;
use is::stun::{StunMessage, StunPacket};
use is::{Candidate as Place, IceAgent, IceAgentEvent, IceCreds, Protocol, Sha1HmacProvider};
use ticket::PeerId;

use crate::protocol::{Candidate, CandidateKind, Introduction, MAX_CANDIDATES};

/// Peers that are being met at one time, whoever asked.
const MOST: usize = 64;
/// A way that is not found by then is given up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Who was asked goes on answering for longer: the other dials.
const ANSWERING: Duration = Duration::from_secs(10);
/// Once a way is found, a better one is waited for this long.
const BETTER: Duration = Duration::from_millis(60);
/// Where both asked, only one dials; the other does if nothing comes.
const YIELD: Duration = Duration::from_millis(600);
/// Checks are sent at most this often.
const PACE: Duration = Duration::from_millis(10);
/// A check that is not answered is sent again after this, and then twice as long.
const AGAIN: Duration = Duration::from_millis(150);
const AGAIN_MOST: Duration = Duration::from_millis(600);
/// Pairs of addresses that are checked for one peer.
const PAIRS: usize = 24;
/// Own addresses that are tried.
const HOSTS: usize = 4;
/// Without a measurement.
const UNKNOWN_RTT: Duration = Duration::from_millis(100);

/// What the table wants done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Output {
    /// Tell a peer this, by way of rendezvous.
    Signal { to: PeerId, introduction: Introduction },
    /// Send a datagram.
    Transmit { to: SocketAddr, bytes: Vec<u8> },
    /// There is a way to a peer that was asked for: it waits to be dialled.
    Found { peer: PeerId, addr: SocketAddr, rtt: Duration },
    /// There is none.
    NotFound { peer: PeerId },
}

struct Meeting {
    agent: IceAgent,
    /// This node asked.
    asked: bool,
    /// The other's side is known.
    introduced: bool,
    /// The name under which this side offered.
    name: String,
    end: Instant,
    /// The best way so far, and when it is taken.
    way: Option<(SocketAddr, Instant)>,
    /// It was told.
    told: bool,
}

/// Fills in what nobody is to guess.
pub(crate) type Random = Box<dyn FnMut(&mut [u8]) + Send>;

/// All peers that are being met.
pub(crate) struct Meetings {
    me: PeerId,
    random: Random,
    /// Own addresses that checks are sent from, and the port.
    hosts: Vec<SocketAddr>,
    /// Where this node is seen besides, or was given a port.
    candidates: Vec<Candidate>,
    meetings: BTreeMap<PeerId, Meeting>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
struct Hmac;

impl Sha1HmacProvider for Hmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key);
        let mut context = hmac::Context::with_key(&key);
        payloads.iter().for_each(|part| context.update(part));
        let mut tag = [0; 20];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl Meetings {
    /// `random` fills in what nobody is to guess.
    pub(crate) fn new(me: PeerId, random: Random) -> Self {
        Self {
            me,
            random,
            hosts: Vec::new(),
            candidates: Vec::new(),
            meetings: BTreeMap::new(),
            outputs: VecDeque::new(),
        }
    }

    /// The node's own addresses, the best first, and where else it can be reached, as others will be told from now on.
    pub(crate) fn set_addresses(&mut self, hosts: Vec<SocketAddr>, candidates: Vec<Candidate>) {
        self.hosts = hosts;
        self.hosts.truncate(HOSTS);
        self.candidates = candidates;
    }

    /// Looks for a way to a peer; answered by `Found` or `NotFound`.
    pub(crate) fn meet(&mut self, now: Instant, peer: PeerId) {
        if let Some(meeting) = self.meetings.get_mut(&peer) {
            meeting.asked = true;
            // It was found already, on the other's wish.
            meeting.told = false;
            meeting.end = meeting.end.max(now + PATIENCE);
            return self.settle(now, peer);
        }
        if self.meetings.len() >= MOST || self.hosts.is_empty() {
            return self.outputs.push_back(Output::NotFound { peer });
        }
        self.begin(now, peer, true, None);
    }

    fn begin(&mut self, now: Instant, peer: PeerId, asked: bool, answers: Option<String>) {
        let name = self.text::<12>();
        let pass = self.text::<24>();
        let creds = IceCreds { ufrag: name.clone(), pass: pass.clone() };
        let mut agent = IceAgent::with_hmac(creds, &Hmac);
        agent.set_timing_advance(PACE);
        agent.set_initial_stun_rto(AGAIN);
        agent.set_max_stun_rto(AGAIN_MOST);
        agent.set_max_candidate_pairs(PAIRS);
        agent.set_controlling(asked);
        for host in &self.hosts {
            if let Ok(place) = Place::host(*host, Protocol::Udp) {
                agent.add_local_candidate(place);
            }
        }
        let hosts =
            self.hosts.iter().map(|addr| Candidate { kind: CandidateKind::Host, addr: *addr });
        let mut candidates: Vec<Candidate> = Vec::new();
        for candidate in self.candidates.iter().copied().chain(hosts) {
            let known = candidates.iter().any(|other| other.addr == candidate.addr);
            if !known && candidates.len() < MAX_CANDIDATES {
                candidates.push(candidate);
            }
        }
        let introduction = Introduction { name: name.clone(), pass, candidates, answers };
        self.outputs.push_back(Output::Signal { to: peer, introduction });
        let end = now + if asked { PATIENCE } else { ANSWERING };
        let meeting =
            Meeting { agent, asked, introduced: false, name, end, way: None, told: false };
        self.meetings.insert(peer, meeting);
    }

    fn text<const N: usize>(&mut self) -> String {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut bytes = [0; N];
        (self.random)(&mut bytes);
        bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 64)])).collect()
    }

    /// A peer introduces itself: it asks to be met, or answers.
    pub(crate) fn introduced(&mut self, now: Instant, peer: PeerId, introduction: Introduction) {
        if !introduction.is_sound() {
            return;
        }
        let before = self.meetings.get(&peer);
        // Who is controlling may change as long as nothing was checked.
        let controlling = match (&introduction.answers, before) {
            (Some(name), Some(meeting)) => {
                if *name != meeting.name || meeting.introduced {
                    return;
                }
                true
            }
            (Some(_), None) => return,
            // Both asked at once: the offers answer each other.
            (None, Some(meeting)) if !meeting.introduced => self.me < peer,
            (None, before) => {
                // It begins anew.
                let asked = before.is_some_and(|meeting| meeting.asked && !meeting.told);
                let full = before.is_none() && self.meetings.len() >= MOST;
                if full || self.hosts.is_empty() {
                    return;
                }
                self.begin(now, peer, asked, Some(introduction.name.clone()));
                false
            }
        };
        let Some(meeting) = self.meetings.get_mut(&peer) else { return };
        meeting.introduced = true;
        meeting.agent.set_controlling(controlling);
        let (ufrag, pass) = (introduction.name, introduction.pass);
        meeting.agent.set_remote_credentials(IceCreds { ufrag, pass });
        for Candidate { kind, addr } in introduction.candidates.into_iter().take(MAX_CANDIDATES) {
            let place = match kind {
                CandidateKind::Host => Place::host(addr, Protocol::Udp),
                CandidateKind::Seen | CandidateKind::Mapped => {
                    Place::server_reflexive(addr, addr, Protocol::Udp)
                }
            };
            if let Ok(place) = place {
                meeting.agent.add_remote_candidate(place);
            }
        }
        meeting.agent.handle_timeout(now);
        self.settle(now, peer);
    }

    /// A STUN message came from somebody, to one of the node's own addresses.
    pub(crate) fn heard(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, bytes: &Bytes) {
        let Ok(message) = StunMessage::parse(bytes) else { return };
        let meant = self.meetings.iter().find(|(_, meeting)| match message.split_username() {
            Some((name, _)) if message.is_binding_request() => name == meeting.name,
            _ => meeting.agent.accepts_message(&message),
        });
        let Some(peer) = meant.map(|(peer, _)| *peer) else { return };
        if let Some(meeting) = self.meetings.get_mut(&peer) {
            let packet =
                StunPacket { proto: Protocol::Udp, source: from, destination: to, message };
            meeting.agent.handle_packet(now, packet);
            // Checks that this calls for go out at once.
            meeting.agent.handle_timeout(now);
        }
        self.settle(now, peer);
    }

    /// The two are connected, whoever dialled.
    pub(crate) fn met(&mut self, peer: PeerId) {
        if let Some(meeting) = self.meetings.remove(&peer)
            && meeting.asked
            && !meeting.told
        {
            self.outputs.push_back(Output::NotFound { peer });
        }
    }

    /// The node has other addresses: what was begun is given up.
    pub(crate) fn forget(&mut self) {
        for (peer, meeting) in std::mem::take(&mut self.meetings) {
            if meeting.asked && !meeting.told {
                self.outputs.push_back(Output::NotFound { peer });
            }
        }
    }

    /// When [`Meetings::pass`] is to be called.
    pub(crate) fn timeout(&mut self) -> Option<Instant> {
        let each = self.meetings.values_mut().flat_map(|meeting| {
            let checks = meeting.agent.poll_timeout().filter(|_| meeting.introduced);
            let taken = meeting.way.map(|(_, at)| at).filter(|_| meeting.asked && !meeting.told);
            [Some(meeting.end), checks, taken]
        });
        each.flatten().min()
    }

    /// Time has passed.
    pub(crate) fn pass(&mut self, now: Instant) {
        for peer in self.meetings.keys().copied().collect::<Vec<_>>() {
            let Some(meeting) = self.meetings.get_mut(&peer) else { continue };
            if now >= meeting.end {
                if meeting.asked && !meeting.told {
                    self.outputs.push_back(Output::NotFound { peer });
                }
                self.meetings.remove(&peer);
                continue;
            }
            if meeting.introduced && meeting.agent.poll_timeout().is_some_and(|at| at <= now) {
                meeting.agent.handle_timeout(now);
            }
            self.settle(now, peer);
        }
    }

    /// Takes out of an agent what it wants.
    fn settle(&mut self, now: Instant, peer: PeerId) {
        let Some(meeting) = self.meetings.get_mut(&peer) else { return };
        while let Some(transmit) = meeting.agent.poll_transmit() {
            let (to, bytes) = (transmit.destination, Vec::from(transmit.contents));
            self.outputs.push_back(Output::Transmit { to, bytes });
        }
        while let Some(event) = meeting.agent.poll_event() {
            if let IceAgentEvent::NominatedSend { destination, .. } = event {
                let wait = if meeting.agent.controlling() { BETTER } else { YIELD };
                let at = meeting.way.map_or(now + wait, |(_, at)| at);
                meeting.way = Some((destination, at));
            }
        }
        if let Some((addr, at)) = meeting.way
            && meeting.asked
            && !meeting.told
            && at <= now
        {
            meeting.told = true;
            meeting.end = now + ANSWERING;
            let rtt = meeting.agent.nominated_pair_rtt().unwrap_or(UNKNOWN_RTT);
            self.outputs.push_back(Output::Found { peer, addr, rtt });
        }
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}
