//! The real signature schemes keep every clause of their contract.

mod ed25519 {
    testkit::scheme_contract!(crypto::Ed25519Scheme);
}

mod bls {
    testkit::scheme_contract!(crypto::BlsScheme);
}
