//! The maps of this crate: seeded, since clients choose what is put in them.

pub(crate) type Seed = foldhash::fast::RandomState;
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, Seed>;
pub(crate) type Set<K> = hashbrown::HashSet<K, Seed>;
