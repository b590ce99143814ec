//! The production environment keeps every clause of the contracts.

mod world;

mod clock {
    testkit::clock_contract!(crate::world::on_one_node);
}

mod spawn {
    testkit::spawn_contract!(crate::world::on_one_node);
}

mod compute {
    testkit::compute_contract!(crate::world::on_one_node);
}

mod entropy {
    testkit::entropy_contract!(crate::world::on_one_node);
}

mod network {
    testkit::network_contract!(crate::world::among_three);
}

mod redb {
    testkit::storage_contract!(crate::world::on_redb);
}

#[cfg(feature = "rocksdb")]
mod rocksdb {
    testkit::storage_contract!(crate::world::on_rocksdb);
}
