use super::*;
use crate::{decode, encode};

fn v1() -> ProtocolParams {
    ProtocolParams::of(ProtocolVersion::new(1)).unwrap()
}

#[test]
fn a_version_that_was_not_built_in_is_unknown() {
    assert_eq!(v1().version, ProtocolVersion::new(1));
    assert_eq!(v1().check(), Ok(()));
    for version in [0, 2, u64::MAX] {
        assert_eq!(ProtocolParams::of(ProtocolVersion::new(version)), None);
    }
}

/// A change of this digest is a change of the protocol: it needs a version of its own once a chain runs.
#[test]
fn the_first_version_is_fixed() {
    let bytes = encode(&v1());
    assert_eq!(decode(&bytes, bytes.len()), Ok(v1()));
    insta::assert_snapshot!(v1().digest(), @"63qFN1oAQMUMzM1sGARGLxD3dyWnNDFZiZXNouYhjx5k");
    let other = ProtocolParams {
        evidence_epochs: 2,
        ..v1()
    };
    assert_ne!(other.digest(), v1().digest());
}

#[test]
fn a_parameter_that_no_chain_can_have_is_named() {
    let error = ParamsError {
        parameter: "initial_value_fee_bps",
        value: 51,
        low: 1,
        high: 50,
    };
    let high = ProtocolParams {
        initial_value_fee_bps: 51,
        ..v1()
    };
    assert_eq!(high.check(), Err(error));
    assert_eq!(
        error.to_string(),
        "the parameter `initial_value_fee_bps` is 51, and has to be between 1 and 50"
    );

    type Spoil = fn(&mut ProtocolParams);
    let wrong: [(&str, Spoil); 15] = [
        ("free_object_bytes", |params| params.free_object_bytes = 100),
        ("epoch_duration_ms", |params| params.epoch_duration_ms = 0),
        ("swapped_power", |params| {
            params.swapped_power = VotingPower::VALIDITY
        }),
        ("max_block_bytes", |params| {
            params.max_block_bytes = params.max_transaction_bytes + 3
        }),
        ("min_value_fee_bps", |params| params.min_value_fee_bps = 51),
        ("target_emission_bps", |params| {
            params.target_emission_bps = 10_001
        }),
        ("epoch_emission", |params| {
            params.epoch_emission = Shannons::new(SUPPLY + 1)
        }),
        ("wanted_epoch_hits", |params| {
            params.epoch_emission = Shannons::new(107_999)
        }),
        ("initial_distance_billionths", |params| {
            params.min_distance_billionths = 1_050_000_001
        }),
        ("max_distance_billionths", |params| {
            params.max_distance_billionths = 2_000_000_001
        }),
        ("models_per_target", |params| params.max_active_models = 2),
        ("join_power", |params| params.low_power = VotingPower::new(13)),
        ("evidence_epochs", |params| params.unbonding_epochs = 2),
        ("validator_min_stake", |params| {
            params.validator_min_stake = Shannons::new(SOMA.get() - 1)
        }),
        ("initial_commission_bps", |params| params.max_commission_bps = 9),
    ];
    for (parameter, spoil) in wrong {
        let mut params = v1();
        spoil(&mut params);
        assert_eq!(params.check().map_err(|error| error.parameter), Err(parameter));
    }
}

/// W-H22: an upgrade replaced what a chain had fixed at its genesis.
#[test]
fn what_genesis_fixed_survives_an_upgrade() {
    let genesis = GenesisParams {
        epoch_duration_ms: Some(60_000),
        embedding_dim: Some(16),
        ..GenesisParams::default()
    };
    let next = ProtocolParams {
        version: ProtocolVersion::new(2),
        epoch_duration_ms: 3_600_000,
        embedding_dim: 4_096,
        byte_fee: Shannons::new(20),
        ..v1()
    };
    let expected = ProtocolParams {
        epoch_duration_ms: 60_000,
        embedding_dim: 16,
        ..next
    };
    assert_eq!(genesis.over(next), Ok(expected));
    assert_eq!(GenesisParams::default().over(v1()), Ok(v1()));

    let never = GenesisParams {
        epoch_duration_ms: Some(0),
        ..genesis
    };
    assert_eq!(
        never.over(v1()).map_err(|error| error.parameter),
        Err("epoch_duration_ms")
    );
}

#[test]
fn an_embedding_has_no_more_dimensions_than_a_vector() {
    for (dim, is_allowed) in [(4_096, true), (4_097, false)] {
        let params = ProtocolParams {
            embedding_dim: dim,
            ..v1()
        };
        assert_eq!(params.check().is_ok(), is_allowed);
    }
}
