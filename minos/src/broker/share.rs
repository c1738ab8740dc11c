//! Which partition a key belongs to, and how the members of a group share the partitions.

/// The partition of a key among `count` of them.
///
/// The same key gives the same partition for ever, in every process and on every backend: changing this function
/// would break the order of messages that are already stored.
pub(crate) fn partition(key: &str, count: u32) -> u32 {
    let hash = fnv1a(key.as_bytes());
    // The low bits of FNV-1a depend on the low bits of the input only; fold the high half in.
    let folded = (hash >> 32) ^ (hash & 0xffff_ffff);
    u32::try_from(folded % u64::from(count.max(1))).unwrap_or_default()
}

/// How many of a topic's partitions the member at `rank` takes when `members` share them.
///
/// The quotas of all members add up to the number of partitions, so none stays behind. Who gets one more depends on
/// the topic's name, so that many topics with few partitions spread too.
pub(crate) fn quota(topic: &str, partitions: u32, rank: usize, members: usize) -> usize {
    let (partitions, members) = (partitions as usize, members.max(1));
    let turn = (fnv1a(topic.as_bytes()) % members as u64) as usize;
    let more = usize::from((rank + turn) % members < partitions % members);
    partitions / members + more
}

/// FNV-1a with 64 bits.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
    }

    /// Stored logs depend on these values: if this test fails, the function is wrong, not the test.
    #[test]
    fn a_key_keeps_its_partition_for_ever() {
        let keys = [
            "",
            "a",
            "foobar",
            "0193a2f0-7c1e-7d4b-9a55-0242ac120002",
            "\u{fc}ber \u{1f980}",
        ];
        let of = |count| keys.map(|key| partition(key, count));
        assert_eq!(of(1), [0; 5]);
        assert_eq!(of(8), [1, 0, 1, 0, 7]);
        assert_eq!(of(12), [5, 4, 1, 4, 11]);
        assert_eq!(of(1024), [961, 192, 665, 872, 639]);
    }

    #[test]
    fn keys_spread_evenly() {
        let mut counts = [0_u32; 8];
        for i in 0..8000_u128 {
            let key = uuid::Uuid::from_u128(i.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c)).to_string();
            counts[partition(&key, 8) as usize] += 1;
        }
        assert!(counts.iter().all(|n| (850..1150).contains(n)), "{counts:?}");
    }

    #[test]
    fn quotas_add_up_and_differ_by_at_most_one() {
        for topic in ["a", "Foo", "CreateFoo"] {
            for partitions in 0..20 {
                for members in 1..9 {
                    let all: Vec<_> = (0..members)
                        .map(|rank| quota(topic, partitions, rank, members))
                        .collect();
                    assert_eq!(all.iter().sum::<usize>(), partitions as usize);
                    let (min, max) = (all.iter().min().unwrap(), all.iter().max().unwrap());
                    assert!(max - min <= 1, "{all:?}");
                }
            }
        }
    }

    #[test]
    fn topics_of_one_partition_spread_over_the_members() {
        let of_first = (0..100)
            .filter(|i| quota(&format!("topic{i}"), 1, 0, 2) == 1)
            .count();
        assert!((30..70).contains(&of_first), "{of_first}");
    }
}
