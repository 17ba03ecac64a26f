//! Chance without a state that threads would share: every number follows from the seed and from what it is for.

/// Mixes 64 bits so that every input bit moves every output bit (Stafford's variant 13 of MurmurHash3's finaliser, as
/// in SplitMix64).
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The number that belongs to these three under a seed.
pub(crate) fn hash(seed: u64, a: u64, b: u64, c: u64) -> u64 {
    let a = mix(seed ^ a.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let b = mix(a ^ b.wrapping_mul(0xc2b2_ae3d_27d4_eb4f));
    mix(b ^ c.wrapping_mul(0x1656_67b1_9e37_79f9))
}

/// The same number as a share of one, 0 up to but not 1.
pub(crate) fn unit(number: u64) -> f64 {
    (number >> 11) as f64 / (1u64 << 53) as f64
}

/// A stream of numbers (SplitMix64).
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) fn new(seed: u64, purpose: u64) -> Self {
        Self(hash(seed, purpose, 0x5eed, 0))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// 0 up to but not 1.
    pub(crate) fn unit(&mut self) -> f64 {
        unit(self.next())
    }

    /// Whether something of this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Standard normal: the sum of twelve uniform numbers, less six, which needs no functions that differ between
    /// machines. Beyond six deviations there is nothing.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_even() {
        let mut stream = Stream::new(1, 2);
        let mean = (0..10_000).map(|_| stream.unit()).sum::<f64>() / 10_000.0;
        assert!((0.49..0.51).contains(&mean), "{mean}");
        let numbers: Vec<f64> = (0..10_000).map(|_| stream.normal()).collect();
        let square = numbers.iter().map(|x| x * x).sum::<f64>() / 10_000.0;
        assert!((0.95..1.05).contains(&square), "{square}");
    }

    #[test]
    fn purposes_do_not_meet() {
        assert_ne!(hash(1, 2, 3, 4), hash(1, 3, 2, 4));
        assert_ne!(Stream::new(1, 2).next(), Stream::new(2, 1).next());
    }
}
