//! Finding out what stands between a node and the internet (RFC 5780): how it translates addresses, and what it lets in.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use super::Access;
use super::reflect::Reflector;
use super::stun::{Answer, Question, Transaction, Via};

/// When a question that was not answered is asked again, after the first time.
const AGAIN: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(500), Duration::from_millis(1000)];
/// What is not answered by then is not going to be.
const PATIENCE: Duration = Duration::from_millis(1600);

/// What was found out about one family of addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    pub(crate) access: Access,
    /// Where the node is seen, if it was answered.
    pub(crate) seen: Option<SocketAddr>,
}

/// What a question is to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Aim {
    /// Where the node is seen.
    Seen,
    /// Whether another port sees it there too.
    SecondPort,
    /// Whether something from another port comes in.
    FromPort,
    /// Whether something from another address comes in.
    FromAddress,
    /// Whether another address sees it there too. Asked last: whoever was asked is let in.
    SecondAddress,
}

struct Asked {
    aim: Aim,
    to: SocketAddr,
    question: Question,
    answer: Option<SocketAddr>,
}

/// One look at one family of addresses.
pub(crate) struct Classifier {
    reflectors: Vec<Reflector>,
    hosts: Vec<IpAddr>,
    port: u16,
    asked: Vec<Asked>,
    /// When the questions that are open were first asked, and how often again.
    begun: Instant,
    again: usize,
    second_address: bool,
    finding: Option<Finding>,
    due: Vec<(SocketAddr, Vec<u8>)>,
}

impl Classifier {
    /// Begins: `reflectors` are of one family, the best known first; `hosts` are the node's own addresses of that family
    /// and `port` its port. `random` gives transactions that nobody can guess.
    pub(crate) fn new(
        now: Instant,
        reflectors: Vec<Reflector>,
        hosts: Vec<IpAddr>,
        port: u16,
        random: &mut dyn FnMut() -> Transaction,
    ) -> Self {
        let mut this = Self {
            reflectors,
            hosts,
            port,
            asked: Vec::new(),
            begun: now,
            again: 0,
            second_address: false,
            finding: None,
            due: Vec::new(),
        };
        let Some(first) = this.reflectors.first().copied() else {
            this.finding = Some(Finding { access: Access::Unknown, seen: None });
            return this;
        };
        if this.hosts.is_empty() {
            this.finding = Some(Finding { access: Access::None, seen: None });
            return this;
        }
        this.ask(Aim::Seen, first.first, Via::Same, random());
        this.ask(Aim::SecondPort, first.second, Via::Same, random());
        this.ask(Aim::FromPort, first.first, Via::OtherPort, random());
        if this.other_address().is_some() {
            this.ask(Aim::FromAddress, first.first, Via::OtherAddress, random());
        }
        this
    }

    fn other_address(&self) -> Option<Reflector> {
        let first = self.reflectors.first()?.first.ip();
        self.reflectors.iter().find(|reflector| reflector.first.ip() != first).copied()
    }

    fn ask(&mut self, aim: Aim, to: SocketAddr, via: Via, transaction: Transaction) {
        let question = Question { transaction, via };
        self.due.push((to, question.encode()));
        self.asked.push(Asked { aim, to, question, answer: None });
    }

    /// Something came. Gives whether it was an answer to this.
    pub(crate) fn heard(&mut self, bytes: &[u8]) -> bool {
        let Some(answer) = Answer::decode(bytes) else { return false };
        let asked =
            self.asked.iter_mut().find(|asked| asked.question.transaction == answer.transaction);
        let Some(asked) = asked else { return false };
        asked.answer = Some(answer.seen);
        true
    }

    /// What is to be sent now.
    pub(crate) fn transmits(&mut self) -> impl Iterator<Item = (SocketAddr, Vec<u8>)> {
        self.due.drain(..)
    }

    /// When [`Classifier::pass`] is to be called again; `None` once it is over.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        if self.finding.is_some() {
            return None;
        }
        if self.open().next().is_none() {
            return Some(self.begun);
        }
        Some(self.begun + AGAIN.get(self.again).copied().unwrap_or(PATIENCE))
    }

    /// Time has passed, or an answer came. Gives what was found out, once.
    pub(crate) fn pass(
        &mut self,
        now: Instant,
        random: &mut dyn FnMut() -> Transaction,
    ) -> Option<Finding> {
        if self.finding.is_some() {
            return None;
        }
        let over = self.open().next().is_none()
            || now >= self.begun + PATIENCE
            // Who was let in by all is known.
            || self.answer(Aim::FromAddress).is_some() && self.is_mapped_alike() == Some(true);
        if over {
            let seen = self.answer(Aim::Seen);
            if let (Some(_), Some(other), false) = (seen, self.other_address(), self.second_address)
            {
                self.second_address = true;
                (self.begun, self.again) = (now, 0);
                self.ask(Aim::SecondAddress, other.first, Via::Same, random());
                return None;
            }
            let finding = Finding { access: self.conclude(), seen };
            self.finding = Some(finding);
            return Some(finding);
        }
        while AGAIN.get(self.again).is_some_and(|after| now >= self.begun + *after) {
            self.again += 1;
            self.due = self.open().map(|asked| (asked.to, asked.question.encode())).collect();
        }
        None
    }

    /// Questions that are waited for.
    fn open(&self) -> impl Iterator<Item = &Asked> {
        let last = self.second_address;
        let asked = self.asked.iter().filter(|asked| asked.answer.is_none());
        asked.filter(move |asked| !last || asked.aim == Aim::SecondAddress)
    }

    fn answer(&self, aim: Aim) -> Option<SocketAddr> {
        self.asked.iter().find(|asked| asked.aim == aim)?.answer
    }

    /// Whether all who were asked see the node at the same place; `None` if only one has answered.
    fn is_mapped_alike(&self) -> Option<bool> {
        let seen = self.answer(Aim::Seen)?;
        let others = [Aim::SecondPort, Aim::SecondAddress];
        let mut others = others.into_iter().filter_map(|aim| self.answer(aim)).peekable();
        others.peek()?;
        Some(others.all(|other| other == seen))
    }

    fn conclude(&self) -> Access {
        let (Some(seen), Some(alike)) = (self.answer(Aim::Seen), self.is_mapped_alike()) else {
            return Access::Unknown;
        };
        let as_it_is = self.hosts.contains(&seen.ip()) && seen.port() == self.port;
        let from_port = self.answer(Aim::FromPort).is_some();
        let from_address = match self.other_address() {
            Some(_) => self.answer(Aim::FromAddress).is_some(),
            // Not to be told with one address: a translation is taken for the stricter kind.
            None => from_port && as_it_is,
        };
        match (alike, from_address, from_port) {
            (false, ..) => Access::Symmetric,
            (true, true, _) => Access::Open,
            (true, false, true) => Access::AddressRestricted,
            (true, false, false) => Access::PortRestricted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reflectors() -> Vec<Reflector> {
        let at = |ip: [u8; 4], port| SocketAddr::from((ip, port));
        [[203, 0, 113, 1], [203, 0, 113, 2]]
            .map(|ip| Reflector { first: at(ip, 3478), second: at(ip, 3479) })
            .to_vec()
    }

    fn counter() -> impl FnMut() -> Transaction {
        let mut count = 0u8;
        move || {
            count += 1;
            [count; 12]
        }
    }

    /// Answers as a network would: `seen(to)`, and whether an answer from elsewhere comes in.
    fn find(
        reflectors: Vec<Reflector>,
        host: [u8; 4],
        seen: impl Fn(SocketAddr) -> SocketAddr,
        lets_in: impl Fn(Via) -> bool,
    ) -> Finding {
        let (mut now, mut random) = (Instant::now(), counter());
        let hosts = vec![IpAddr::from(host)];
        let mut classifier = Classifier::new(now, reflectors, hosts, 5000, &mut random);
        loop {
            let sent: Vec<_> = classifier.transmits().collect();
            for (to, bytes) in sent {
                let question = Question::decode(&bytes).unwrap();
                if question.via == Via::Same || lets_in(question.via) {
                    let transaction = question.transaction;
                    let answer = Answer { transaction, seen: seen(to) };
                    assert!(classifier.heard(&answer.encode()));
                    assert!(!classifier.heard(&question.encode()), "that is no answer");
                }
            }
            if let Some(finding) = classifier.pass(now, &mut random) {
                assert_eq!(classifier.timeout(), None);
                return finding;
            }
            now = now.max(classifier.timeout().unwrap());
        }
    }

    const OUTSIDE: [u8; 4] = [198, 51, 100, 7];
    const INSIDE: [u8; 4] = [192, 168, 1, 2];

    #[test]
    fn translations_and_filters_are_told_apart() {
        let mapped = SocketAddr::from((OUTSIDE, 6000));
        let behind =
            |lets_in: fn(Via) -> bool| find(reflectors(), INSIDE, |_| mapped, lets_in).access;
        assert_eq!(behind(|_| true), Access::Open);
        assert_eq!(behind(|via| via == Via::OtherPort), Access::AddressRestricted);
        assert_eq!(behind(|_| false), Access::PortRestricted);
        let by_port = |to: SocketAddr| SocketAddr::from((OUTSIDE, 6000 + to.port() % 100));
        assert_eq!(find(reflectors(), INSIDE, by_port, |_| false).access, Access::Symmetric);
        let by_address = |to: SocketAddr| {
            SocketAddr::from((OUTSIDE, 6000 + u16::from(to.to_string().contains(".2:"))))
        };
        assert_eq!(find(reflectors(), INSIDE, by_address, |_| false).access, Access::Symmetric);
    }

    #[test]
    fn without_translation_there_may_still_be_a_filter() {
        let own = SocketAddr::from((OUTSIDE, 5000));
        assert_eq!(find(reflectors(), OUTSIDE, |_| own, |_| true).access, Access::Open);
        let shut = find(reflectors(), OUTSIDE, |_| own, |_| false);
        assert_eq!(shut, Finding { access: Access::PortRestricted, seen: Some(own) });
    }

    #[test]
    fn one_address_tells_less() {
        let one = vec![reflectors()[0]];
        let mapped = SocketAddr::from((OUTSIDE, 6000));
        let translated = find(one.clone(), INSIDE, |_| mapped, |_| true);
        assert_eq!(translated.access, Access::AddressRestricted);
        let own = SocketAddr::from((OUTSIDE, 5000));
        assert_eq!(find(one, OUTSIDE, |_| own, |_| true).access, Access::Open);
    }

    #[test]
    fn nobody_answers_or_there_is_nobody_to_ask() {
        let (mut now, mut random) = (Instant::now(), counter());
        let hosts = vec![IpAddr::from(INSIDE)];
        let mut silent = Classifier::new(now, reflectors(), hosts.clone(), 1, &mut random);
        let mut sent = 0;
        let finding = loop {
            sent += silent.transmits().count();
            if let Some(finding) = silent.pass(now, &mut random) {
                break finding;
            }
            now = silent.timeout().unwrap();
        };
        assert_eq!(finding, Finding { access: Access::Unknown, seen: None });
        assert_eq!(sent, 4 * 4, "four questions, each asked four times");
        let none = Classifier::new(now, Vec::new(), hosts, 1, &mut random);
        assert_eq!(none.finding.unwrap().access, Access::Unknown);
        let homeless = Classifier::new(now, reflectors(), Vec::new(), 1, &mut random);
        assert_eq!(homeless.finding.unwrap().access, Access::None);
    }
}
