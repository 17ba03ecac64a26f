//! What is kept and where: pure, without a file system call.

use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{Position, Start, Status, Trouble};
use crate::output::Piece;

/// So much of the newest is kept in memory, bytes: 8 s of a channel of 8 Mbit/s. As much again may wait for the disk.
pub(super) const MEMORY: usize = 8 << 20;
/// The least and the largest chunk, bytes. A chunk is what is given back to the disk at once.
const CHUNK: (u64, u64) = (256 << 10, 16 << 20);

/// Where a piece is.
#[derive(Clone, Debug)]
pub(super) enum Place {
    Memory(Bytes),
    Disk(Arc<File>, u64),
    Lost,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) position: Position,
    pub(super) due: Option<Instant>,
    pub(super) duration: Duration,
    pub(super) random_access: bool,
    pub(super) whole: bool,
    pub(super) gap: bool,
    pub(super) switched: bool,
    pub(super) len: usize,
    /// In memory, if it is there.
    memory: Option<Bytes>,
    /// On disk: the chunk's number, its file, the offset.
    disk: Option<(u64, Arc<File>, u64)>,
}

impl Entry {
    pub(super) fn place(&self) -> Place {
        match (&self.memory, &self.disk) {
            (Some(bytes), _) => Place::Memory(bytes.clone()),
            (None, Some((_, file, offset))) => Place::Disk(file.clone(), *offset),
            (None, None) => Place::Lost,
        }
    }
}

/// A file that pieces are written to.
struct ChunkFile {
    number: u64,
    file: Arc<File>,
    bytes: u64,
}

/// What is to be written next: the pieces' bytes in order, to this place.
pub(super) struct Write {
    pub(super) first: u64,
    pub(super) pieces: Vec<Bytes>,
    /// `None`: a new chunk is needed.
    pub(super) to: Option<(u64, Arc<File>, u64)>,
}

pub(super) struct Index {
    entries: VecDeque<Entry>,
    /// The sequence number of the front entry.
    first: u64,
    /// The first that is not written (and will be).
    unwritten: u64,
    /// The first that is in memory.
    in_memory: u64,
    memory: usize,
    chunks: VecDeque<ChunkFile>,
    next_chunk: u64,
    limit: u64,
    trouble: Option<Trouble>,
}

impl Index {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            entries: VecDeque::new(),
            first: 0,
            unwritten: 0,
            in_memory: 0,
            memory: 0,
            chunks: VecDeque::new(),
            next_chunk: 0,
            limit,
            trouble: None,
        }
    }

    /// The sequence number that the next piece gets.
    pub(super) fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    pub(super) fn get(&self, sequence: u64) -> Option<&Entry> {
        self.entries.get(usize::try_from(sequence.checked_sub(self.first)?).ok()?)
    }

    fn get_mut(&mut self, sequence: u64) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(sequence.checked_sub(self.first)?).ok()?)
    }

    pub(super) fn push(&mut self, piece: &Piece) {
        let edge = self.edge();
        // A headend whose clock was set back must not make time run backwards here.
        let position = edge.map_or(Position(piece.captured), |edge| {
            let jitter = piece.duration.as_micros() as u64 / 2;
            if piece.captured + jitter < edge.0 { edge } else { Position(piece.captured) }
        });
        let before = self.entries.back().map(|entry| entry.position);
        let position = before.map_or(position, |before| position.max(before));
        self.memory += piece.ts.len();
        self.entries.push_back(Entry {
            position,
            due: piece.due,
            duration: piece.duration,
            random_access: piece.random_access,
            whole: piece.whole,
            gap: piece.gap,
            switched: piece.switched,
            len: piece.ts.len(),
            memory: Some(piece.ts.clone()),
            disk: None,
        });
        self.trim_memory();
    }

    /// Lets go of memory: what is written beyond [`MEMORY`], and what is not beyond twice that.
    fn trim_memory(&mut self) {
        while self.memory > MEMORY && self.in_memory + 1 < self.end() {
            let sequence = self.in_memory;
            let keep = sequence >= self.unwritten && self.memory <= 2 * MEMORY;
            if keep {
                break;
            }
            if let Some(entry) = self.get_mut(sequence) {
                let freed = entry.memory.take().map_or(0, |bytes| bytes.len());
                self.memory -= freed;
            }
            self.in_memory += 1;
            // What was not written in time is lost.
            self.unwritten = self.unwritten.max(self.in_memory);
        }
        self.drop_lost();
    }

    /// Takes out what cannot be read any more at the old end.
    fn drop_lost(&mut self) {
        while self.entries.front().is_some_and(|e| e.memory.is_none() && e.disk.is_none()) {
            self.entries.pop_front();
            self.first += 1;
        }
    }

    fn chunk_size(&self) -> u64 {
        (self.limit / 32).clamp(CHUNK.0, CHUNK.1)
    }

    pub(super) fn on_disk(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.bytes).sum()
    }

    /// What is to be written next, if anything; makes room for it.
    pub(super) fn write(&mut self) -> Option<Write> {
        if self.limit == 0 {
            self.chunks.clear();
            self.forget_chunks();
            self.unwritten = self.end();
            return None;
        }
        let size = self.chunk_size();
        let current = self.chunks.back().filter(|chunk| chunk.bytes < size);
        let to = current.map(|chunk| (chunk.number, chunk.file.clone(), chunk.bytes));
        let mut room = to.as_ref().map_or(size, |(_, _, used)| size - used);
        let mut pieces = Vec::new();
        for sequence in self.unwritten.. {
            let Some(bytes) = self.get(sequence).and_then(|entry| entry.memory.clone()) else {
                break;
            };
            let len = bytes.len() as u64;
            pieces.push(bytes);
            room = room.saturating_sub(len);
            if room == 0 {
                break;
            }
        }
        if pieces.is_empty() {
            return None;
        }
        let len: u64 = pieces.iter().map(|bytes| bytes.len() as u64).sum();
        while self.on_disk() + len > self.limit && self.chunks.len() > 1 {
            self.drop_oldest_chunk();
        }
        Some(Write { first: self.unwritten, pieces, to })
    }

    /// A new chunk; gives where to write in it.
    pub(super) fn add_chunk(&mut self, file: File) -> (u64, Arc<File>, u64) {
        let (number, file) = (self.next_chunk, Arc::new(file));
        self.next_chunk += 1;
        self.chunks.push_back(ChunkFile { number, file: file.clone(), bytes: 0 });
        (number, file, 0)
    }

    /// Whether a chunk is still there.
    pub(super) fn has_chunk(&self, number: u64) -> bool {
        self.chunks.iter().any(|chunk| chunk.number == number)
    }

    /// What was to be written is there.
    pub(super) fn written(&mut self, first: u64, pieces: &[Bytes], to: (u64, Arc<File>, u64)) {
        let (number, file, mut offset) = to;
        let Some(chunk) = self.chunks.iter_mut().find(|chunk| chunk.number == number) else {
            return;
        };
        for (sequence, bytes) in (first..).zip(pieces) {
            let len = bytes.len() as u64;
            chunk.bytes = chunk.bytes.max(offset + len);
            let at = sequence.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
            if let Some(entry) = at.and_then(|at| self.entries.get_mut(at)) {
                entry.disk = Some((number, file.clone(), offset));
            }
            offset += len;
        }
        self.unwritten = self.unwritten.max(first + pieces.len() as u64);
        if !matches!(self.trouble, Some(Trouble::Small)) || self.on_disk() >= self.limit / 2 {
            self.trouble = None;
        }
        self.trim_memory();
    }

    /// The disk is full: gives back a chunk, if one can be spared.
    pub(super) fn shrink(&mut self) -> bool {
        if self.chunks.len() < 2 {
            return false;
        }
        self.drop_oldest_chunk();
        self.trouble = Some(Trouble::Small);
        true
    }

    /// The disk cannot be used now.
    pub(super) fn off(&mut self, why: String) {
        self.trouble = Some(Trouble::Off(why));
        // A chunk that could not be written to is not tried again.
        if self.chunks.back().is_some_and(|chunk| chunk.bytes == 0) {
            self.chunks.pop_back();
        }
        self.unwritten = self.end();
        self.trim_memory();
    }

    pub(super) fn set_limit(&mut self, limit: u64) {
        self.limit = limit;
        while self.on_disk() > limit && self.chunks.len() > 1 {
            self.drop_oldest_chunk();
        }
    }

    fn drop_oldest_chunk(&mut self) {
        self.chunks.pop_front();
        self.forget_chunks();
    }

    /// Forgets what lay in chunks that are gone. What is in memory stays.
    fn forget_chunks(&mut self) {
        let oldest = self.chunks.front().map_or(self.next_chunk, |chunk| chunk.number);
        for entry in &mut self.entries {
            match &entry.disk {
                Some((number, ..)) if *number < oldest => entry.disk = None,
                Some(_) => break,
                None => {}
            }
        }
        self.drop_lost();
    }

    fn edge(&self) -> Option<Position> {
        let last = self.entries.back()?;
        Some(Position(last.position.0 + last.duration.as_micros() as u64))
    }

    /// The sequence number where a reader that wants `start` begins; the end if there is no random access point.
    pub(super) fn start(&self, start: Start) -> u64 {
        let points = || self.entries.iter().enumerate().filter(|(_, entry)| entry.random_access);
        let found = match start {
            Start::Live => points().next_back(),
            Start::At(position) => {
                let after = self.entries.partition_point(|entry| entry.position <= position);
                let before = self.entries.range(..after).enumerate().rev();
                before
                    .into_iter()
                    .find(|(_, entry)| entry.random_access)
                    .or_else(|| points().next())
            }
        };
        self.first + found.map_or(self.entries.len(), |(at, _)| at) as u64
    }

    pub(super) fn status(&self) -> Status {
        let oldest = self.entries.iter().find(|entry| entry.random_access);
        Status {
            oldest: oldest.map(|entry| entry.position),
            edge: self.edge(),
            on_disk: self.on_disk(),
            trouble: self.trouble.clone(),
        }
    }

    #[cfg(test)]
    pub(super) fn empty_memory(&mut self) {
        let written = self.unwritten;
        for sequence in self.in_memory..written {
            if let Some(entry) = self.get_mut(sequence) {
                let freed = entry.memory.take().map_or(0, |bytes| bytes.len());
                self.memory -= freed;
            }
            self.in_memory = sequence + 1;
        }
        self.drop_lost();
    }

    #[cfg(test)]
    pub(super) fn bytes_in_memory(&self) -> usize {
        self.memory
    }

    #[cfg(test)]
    pub(super) fn is_written(&self, upto: u64) -> bool {
        self.unwritten >= upto
    }
}
