//! Distributions in bounded memory.

/// Parts of each power of two: values are kept to within 1 %.
const PARTS: u64 = 128;
const PART_BITS: u32 = 7;

/// How often each value came, to within 1 %.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    count: u64,
    sum: u64,
    max: u64,
}

/// A distribution in a few numbers.
#[derive(Clone, Copy, PartialEq, Debug, Default, serde::Serialize)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Half are at most this.
    pub p50: f64,
    /// 95 % are.
    pub p95: f64,
    /// 99 % are.
    pub p99: f64,
    /// The largest.
    pub max: f64,
}

fn place(value: u64) -> usize {
    if value < PARTS {
        return value as usize;
    }
    let power = value.ilog2() - PART_BITS;
    (u64::from(power + 1) * PARTS + ((value >> power) - PARTS)) as usize
}

/// The least value at a place.
fn least(place: usize) -> u64 {
    let (power, part) = (place as u64 / PARTS, place as u64 % PARTS);
    if power == 0 { part } else { (PARTS + part) << (power - 1) }
}

impl Histogram {
    pub(crate) fn add(&mut self, value: u64) {
        let place = place(value);
        if place >= self.counts.len() {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
        self.count += 1;
        self.sum += value;
        self.max = self.max.max(value);
    }

    pub(crate) fn merge(&mut self, other: &Histogram) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (here, there) in self.counts.iter_mut().zip(&other.counts) {
            *here += there;
        }
        self.count += other.count;
        self.sum += other.sum;
        self.max = self.max.max(other.max);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The value that this share is at most.
    pub(crate) fn quantile(&self, share: f64) -> u64 {
        let wanted = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (place, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return least(place).min(self.max);
            }
        }
        self.max
    }

    /// In units of `unit`.
    pub(crate) fn distribution(&self, unit: f64) -> Distribution {
        if self.count == 0 {
            return Distribution::default();
        }
        let in_units = |value: u64| round(value as f64 / unit);
        Distribution {
            count: self.count,
            mean: round(self.sum as f64 / self.count as f64 / unit),
            p50: in_units(self.quantile(0.50)),
            p95: in_units(self.quantile(0.95)),
            p99: in_units(self.quantile(0.99)),
            max: in_units(self.max),
        }
    }

    /// Points of the cumulative distribution, in units of `unit`: value, share that is at most that.
    pub(crate) fn curve(&self, unit: f64) -> Vec<[f64; 2]> {
        let share = |i: u32| f64::from(i) / 100.0;
        let point = |i| [round(self.quantile(share(i)) as f64 / unit), share(i)];
        if self.count == 0 { Vec::new() } else { (0..=100).map(point).collect() }
    }
}

/// To four digits after the point: reports are read by people.
pub(crate) fn round(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_to_within_one_in_a_hundred() {
        for value in (0..200).chain([1_000, 65_535, 1 << 20, 123_456_789]) {
            let kept = least(place(value));
            assert!(kept <= value && value - kept <= value / 100, "{value} {kept}");
        }
    }

    #[test]
    fn quantiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.add(value * 1000));
        let Distribution { count, mean, p50, p95, max, .. } = histogram.distribution(1000.0);
        assert_eq!((count, mean, max), (1000, 500.5, 1000.0));
        assert!((495.0..=500.0).contains(&p50) && (940.0..=950.0).contains(&p95), "{p50} {p95}");
    }

    #[test]
    fn two_make_one() {
        let (mut one, mut two, mut all) =
            (Histogram::default(), Histogram::default(), Histogram::default());
        for value in 0..500 {
            if value % 3 == 0 {
                one.add(value)
            } else {
                two.add(value)
            }
            all.add(value);
        }
        one.merge(&two);
        assert_eq!(one.distribution(1.0), all.distribution(1.0));
    }
}
