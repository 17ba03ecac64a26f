//! How the repeater's limits are shared among the swarms it takes part in.

/// What one swarm may use of a limit over all: what it uses already, and an equal part of what is
/// left. The sum never exceeds `total`; swarms that use more than there is get in proportion.
///
/// `used` is what each swarm uses now, in the limit's unit (bits per second, sub-streams).
pub(crate) fn share(total: u64, used: &[u64]) -> Vec<u64> {
    let sum: u64 = used.iter().fold(0, |sum, used| sum.saturating_add(*used));
    if sum > total {
        let scale = |used: u64| u128::from(used) * u128::from(total) / u128::from(sum);
        return used.iter().map(|used| u64::try_from(scale(*used)).unwrap_or(total)).collect();
    }
    let count = u64::try_from(used.len()).unwrap_or(u64::MAX).max(1);
    let (each, rest) = ((total - sum) / count, (total - sum) % count);
    used.iter().zip(0..).map(|(used, i)| used + each + u64::from(i < rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_swarm_may_use_all() {
        assert_eq!(share(12, &[0]), [12]);
        assert_eq!(share(12, &[7]), [12]);
        assert_eq!(share(12, &[]), Vec::<u64>::new());
    }

    #[test]
    fn who_needs_it_keeps_it_and_the_rest_is_split() {
        assert_eq!(share(12, &[8, 0]), [10, 2]);
        assert_eq!(share(13, &[8, 0]), [11, 2]);
        assert_eq!(share(12, &[12, 0]), [12, 0]);
    }

    #[test]
    fn the_sum_never_exceeds_the_limit() {
        for total in [0, 1, 5, 12, 100] {
            for used in [vec![0, 0, 0], vec![3, 9, 1], vec![100, 50, 50], vec![u64::MAX, 1, 1]] {
                let shares = share(total, &used);
                assert!(shares.iter().sum::<u64>() <= total, "{total} {used:?} {shares:?}");
            }
        }
    }
}
