//! Some of the nodes, worked on by one thread.

use crate::event::{Event, What};
use crate::node::Node;
use crate::post::Post;
use crate::tally::Tally;

/// A node, or the place of one that is not there.
struct Place {
    node: Option<Box<Node>>,
    /// What it caused in earlier stays.
    seq: u32,
}

/// Some of the nodes.
pub(crate) struct Region<'a> {
    pub(crate) post: Post<'a>,
    /// A place for every node of the run; those of other regions stay empty.
    places: Vec<Place>,
    room: Vec<Event>,
    /// Viewers present.
    pub(crate) viewers: u32,
}

impl<'a> Region<'a> {
    pub(crate) fn new(mut post: Post<'a>, region: u32, regions: u32) -> Self {
        let setting = post.setting;
        let mut places = Vec::new();
        for number in 0..setting.nodes.len() as u32 {
            places.push(Place { node: None, seq: 0 });
            if setting.region(number, regions) != region {
                continue;
            }
            for (stay, span) in setting.profile(number).stays.iter().enumerate() {
                let what = What::Join(stay as u16);
                let event = Event { at: span.from, to: number, from: number, seq: 0, what };
                post.wheel.put(event);
            }
        }
        Self { post, places, room: Vec::new(), viewers: 0 }
    }

    /// Everything that happens to these nodes in a step.
    pub(crate) fn step(&mut self, step: u64) {
        self.post.begin(step);
        let room = std::mem::take(&mut self.room);
        let mut events = self.post.wheel.take(step, room);
        let mut rest = &events[..];
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|event| event.to == first.to).count();
            let (mine, others) = rest.split_at(same);
            self.work(first.to, mine);
            rest = others;
        }
        events.clear();
        self.room = events;
    }

    /// What happens to one node in a step, in order.
    fn work(&mut self, number: u32, events: &[Event]) {
        let place = &mut self.places[number as usize];
        let mut node = place.node.take();
        let mut events = events.iter().copied().peekable();
        while let Some(event) = self.post.soon_before(events.peek()).or_else(|| events.next()) {
            self.post.now = event.at;
            self.post.tally.events += 1;
            match (&mut node, event.what) {
                (None, What::Join(stay)) => {
                    let joined = Node::join(&mut self.post, number, stay, place.seq);
                    self.viewers += u32::from(joined.is_viewer());
                    node = Some(Box::new(joined));
                }
                (Some(present), _) => {
                    let over = present.handle(&mut self.post, event);
                    if let Some(gone) = node.take_if(|_| over) {
                        self.viewers -= u32::from(gone.is_viewer());
                        place.seq = gone.leave(&mut self.post);
                    }
                }
                // What was under way to a node that has gone.
                (None, What::Message(place)) => drop(self.post.message(place)),
                (None, What::Candidates(place) | What::Neighbours(place)) => {
                    drop(self.post.candidates(place));
                }
                (None, _) => {}
            }
        }
        place.node = node;
    }

    pub(crate) fn nodes(&self) -> impl Iterator<Item = (u32, &Node)> {
        self.places
            .iter()
            .enumerate()
            .filter_map(|(number, place)| Some((number as u32, place.node.as_deref()?)))
    }

    /// Notes what became of those who are still there; nothing happens after it.
    pub(crate) fn finish(&mut self, now: u64) -> Tally {
        self.post.now = now;
        for place in &mut self.places {
            if let Some(node) = place.node.take() {
                node.record(&mut self.post);
            }
        }
        std::mem::take(&mut self.post.tally)
    }
}
