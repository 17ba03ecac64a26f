use proptest::prelude::*;
use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;

use super::*;

fn location() -> impl Strategy<Value = Location> {
    let some = |most: u32| proptest::option::of(0..most);
    (some(3), some(3), proptest::option::of(prop_oneof!["AT", "CH", "DE"])).prop_map(
        |(subset, asn, country)| Location {
            subset,
            asn,
            country: country.map(|code| code.parse().unwrap()),
        },
    )
}

fn role() -> impl Strategy<Value = Role> {
    prop_oneof![1 => Just(Role::Headend), 2 => Just(Role::Repeater), 9 => Just(Role::Viewer)]
}

fn candidate() -> impl Strategy<Value = Candidate> {
    let capacity = prop_oneof![
        Just(Capacity::Unknown),
        (1..50u16).prop_map(Capacity::Free),
        Just(Capacity::Full)
    ];
    (0..200u8, role(), location(), 0..20u64, capacity).prop_map(
        |(peer, role, location, age, capacity)| Candidate {
            peer: PeerId([peer; 32]),
            role,
            location,
            age: Duration::from_secs(age),
            capacity,
        },
    )
}

fn pool() -> impl Strategy<Value = Vec<Candidate>> {
    proptest::collection::vec(candidate(), 0..120)
}

fn asker() -> impl Strategy<Value = Asker> {
    (0..200u8, role(), location()).prop_map(|(peer, role, location)| Asker {
        peer: PeerId([peer; 32]),
        role,
        location,
    })
}

fn ranked(asker: &Asker, pool: &[Candidate], seed: u64) -> Vec<Candidate> {
    rank(asker, pool, MOST, &mut Pcg64Mcg::seed_from_u64(seed))
}

proptest! {
    #[test]
    fn a_list_is_bounded_and_names_nobody_twice_silent_or_asking(
        asker in asker(), pool in pool(), seed in any::<u64>()
    ) {
        let list = ranked(&asker, &pool, seed);
        prop_assert!(list.len() <= MOST);
        let different: BTreeSet<PeerId> = list.iter().map(|candidate| candidate.peer).collect();
        prop_assert_eq!(different.len(), list.len());
        prop_assert!(!different.contains(&asker.peer));
        prop_assert!(list.iter().all(|candidate| candidate.age <= SILENT));
        prop_assert!(list.iter().all(|candidate| pool.contains(candidate)));
    }

    #[test]
    fn the_same_seed_gives_the_same_list(
        asker in asker(), pool in pool(), seed in any::<u64>()
    ) {
        prop_assert_eq!(ranked(&asker, &pool, seed), ranked(&asker, &pool, seed));
    }

    #[test]
    fn whoever_can_be_offered_is_if_there_is_room(
        asker in asker(), pool in proptest::collection::vec(candidate(), 0..20), seed in any::<u64>()
    ) {
        let list = ranked(&asker, &pool, seed);
        let mut first = BTreeSet::from([asker.peer]);
        let usable: Vec<_> = pool
            .iter()
            .filter(|candidate| candidate.age <= SILENT && first.insert(candidate.peer))
            .collect();
        let repeater = usable.iter().any(|candidate| candidate.role == Role::Repeater);
        for candidate in usable {
            let hidden = asker.role == Role::Viewer && candidate.role == Role::Headend && repeater;
            prop_assert_eq!(list.contains(candidate), !hidden, "{:?}", candidate);
        }
    }

    #[test]
    fn viewers_see_a_headend_only_where_no_repeater_is(
        mut asker in asker(), pool in pool(), seed in any::<u64>()
    ) {
        asker.role = Role::Viewer;
        let list = ranked(&asker, &pool, seed);
        let has = |role| list.iter().any(|candidate| candidate.role == role);
        prop_assert!(!(has(Role::Headend) && has(Role::Repeater)));
        if has(Role::Repeater) {
            prop_assert_eq!(list[0].role, Role::Repeater);
        }
    }

    #[test]
    fn four_of_five_viewers_are_in_order_of_nearness(
        mut asker in asker(), pool in pool(), seed in any::<u64>()
    ) {
        asker.role = Role::Viewer;
        let list = ranked(&asker, &pool, seed);
        let kept: Vec<_> = list
            .iter()
            .filter(|candidate| candidate.role == Role::Viewer)
            .enumerate()
            .filter(|(place, _)| place % RANDOM_EVERY != RANDOM_EVERY - 1)
            .map(|(_, candidate)| {
                let full = candidate.capacity == Capacity::Full;
                (full, asker.location.nearness(&candidate.location), candidate.age > STALE)
            })
            .collect();
        prop_assert!(kept.is_sorted(), "{:?}", kept);
    }
}

fn viewer(number: u16, subset: u32, capacity: Capacity) -> Candidate {
    let mut peer = [0; 32];
    peer[..2].copy_from_slice(&number.to_be_bytes());
    Candidate {
        peer: PeerId(peer),
        role: Role::Viewer,
        location: Location { subset: Some(subset), ..Location::default() },
        age: Duration::ZERO,
        capacity,
    }
}

const HERE: Asker = Asker {
    peer: PeerId([255; 32]),
    role: Role::Viewer,
    location: Location { subset: Some(1), asn: None, country: None },
};

#[test]
fn far_peers_are_among_those_offered_even_where_near_ones_abound() {
    let mut pool: Vec<_> = (0..100).map(|i| viewer(i, 1, Capacity::Free(4))).collect();
    pool.extend((100..200).map(|i| viewer(i, 2, Capacity::Free(4))));
    for seed in 0..20 {
        let list = ranked(&HERE, &pool, seed);
        let far = list.iter().filter(|c| c.location.subset == Some(2)).count();
        assert!(list.len() == MOST && far <= MOST / RANDOM_EVERY, "{far}");
    }
    let all: usize = (0..20)
        .map(|seed| ranked(&HERE, &pool, seed))
        .map(|list| list.iter().filter(|c| c.location.subset == Some(2)).count())
        .sum();
    assert!(all > 20, "{all} far peers in 20 lists");
}

#[test]
fn who_has_more_to_spare_is_found_first_more_often() {
    let pool = [viewer(0, 1, Capacity::Free(19)), viewer(1, 1, Capacity::Free(1))];
    let first = (0..1000)
        .filter(|&seed| ranked(&HERE, &pool, seed)[0].capacity == Capacity::Free(19))
        .count();
    // Nineteen times the capacity, but bounded: nobody is starved.
    assert!((850..=990).contains(&first), "{first}");
}

#[test]
fn who_is_full_comes_after_all_who_are_not() {
    let pool = [
        viewer(0, 1, Capacity::Full),
        viewer(1, 2, Capacity::Free(1)),
        viewer(2, 2, Capacity::Unknown),
    ];
    for seed in 0..50 {
        assert_eq!(ranked(&HERE, &pool, seed)[2].capacity, Capacity::Full);
    }
}

#[test]
fn repeaters_are_told_of_headends_first() {
    let headend = Candidate { role: Role::Headend, ..viewer(7, 9, Capacity::Full) };
    let repeater = Candidate { role: Role::Repeater, ..viewer(8, 1, Capacity::Free(9)) };
    let asker = Asker { role: Role::Repeater, ..HERE };
    let list = ranked(&asker, &[viewer(1, 1, Capacity::Free(3)), repeater, headend], 1);
    let roles: Vec<_> = list.iter().map(|candidate| candidate.role).collect();
    assert_eq!(roles, [Role::Headend, Role::Repeater, Role::Viewer]);
}
