//! Which statuses histories reach, and which they cannot.

use types::{Event, Failure, Shannons, Status};

/// Every status by its name. A new one does not compile here: it has to be reached by a history or named below.
pub fn name(status: &Status) -> &'static str {
    let Status::Failure(failure) = status else {
        return "Success";
    };
    match failure {
        Failure::InsufficientGas { .. } => "InsufficientGas",
        Failure::NotLive(_) => "NotLive",
        Failure::NotOwner(_) => "NotOwner",
        Failure::NotACoin(_) => "NotACoin",
        Failure::InsufficientBalance { .. } => "InsufficientBalance",
        Failure::NotAValidator(_) => "NotAValidator",
        Failure::NotItsStake(_) => "NotItsStake",
        Failure::StakeTooLittle(_) => "StakeTooLittle",
        Failure::StakeLeaving(_) => "StakeLeaving",
        Failure::NotDue(_) => "NotDue",
        Failure::PoolClosed(_) => "PoolClosed",
        Failure::Overflow => "Overflow",
        Failure::InvariantViolated => "InvariantViolated",
        Failure::Claimed(_) => "Claimed",
        Failure::InvalidProofOfPossession => "InvalidProofOfPossession",
        Failure::CommissionTooHigh(_) => "CommissionTooHigh",
        Failure::NotAMember(_) => "NotAMember",
        Failure::ValidatorLeaving(_) => "ValidatorLeaving",
        Failure::NotReported(_) => "NotReported",
        Failure::KeysStaged(_) => "KeysStaged",
        Failure::InvalidEvidence => "InvalidEvidence",
        Failure::EvidenceNotAccepted(_) => "EvidenceNotAccepted",
        Failure::AlreadySlashed(_) => "AlreadySlashed",
        Failure::NoPool(_) => "NoPool",
        Failure::NotAModel(_) => "NotAModel",
        Failure::WrongArchitecture(_) => "WrongArchitecture",
        Failure::WrongStage(_) => "WrongStage",
        Failure::OfferUnderWay(_) => "OfferUnderWay",
        Failure::NotRevealEpoch(_) => "NotRevealEpoch",
        Failure::RevealMismatch => "RevealMismatch",
        Failure::WrongFileSize { .. } => "WrongFileSize",
        Failure::WrongDimension(_) => "WrongDimension",
        Failure::NothingToAttest(_) => "NothingToAttest",
        Failure::BondTooSmall(_) => "BondTooSmall",
        Failure::NotATicket(_) => "NotATicket",
        Failure::WrongTicket(_) => "WrongTicket",
        Failure::TicketExpired(_) => "TicketExpired",
        Failure::TicketTooYoung(_) => "TicketTooYoung",
        Failure::SubmissionMismatch => "SubmissionMismatch",
        Failure::NotATarget(_) => "NotATarget",
        Failure::TargetFilled(_) => "TargetFilled",
        Failure::NotAContender(_) => "NotAContender",
        Failure::WrongDataSize(_) => "WrongDataSize",
        Failure::WrongDistance(_) => "WrongDistance",
        Failure::TooFar(_) => "TooFar",
        Failure::DataUsed(_) => "DataUsed",
        Failure::NotSettled(_) => "NotSettled",
        Failure::NotClaimable(_) => "NotClaimable",
        Failure::NothingToAudit(_) => "NothingToAudit",
        Failure::WrongHalf(_) => "WrongHalf",
        Failure::SealMismatch => "SealMismatch",
        Failure::NotAnUpgrade(_) => "NotAnUpgrade",
        Failure::AlreadyVoted(_) => "AlreadyVoted",
    }
}

/// All names.
pub const ALL: [&str; 54] = [
    "Success",
    "InsufficientGas",
    "NotLive",
    "NotOwner",
    "NotACoin",
    "InsufficientBalance",
    "NotAValidator",
    "NotItsStake",
    "StakeTooLittle",
    "StakeLeaving",
    "NotDue",
    "PoolClosed",
    "Overflow",
    "InvariantViolated",
    "Claimed",
    "InvalidProofOfPossession",
    "CommissionTooHigh",
    "NotAMember",
    "ValidatorLeaving",
    "NotReported",
    "KeysStaged",
    "InvalidEvidence",
    "EvidenceNotAccepted",
    "AlreadySlashed",
    "NoPool",
    "NotAModel",
    "WrongArchitecture",
    "WrongStage",
    "OfferUnderWay",
    "NotRevealEpoch",
    "RevealMismatch",
    "WrongFileSize",
    "WrongDimension",
    "NothingToAttest",
    "BondTooSmall",
    "NotATicket",
    "WrongTicket",
    "TicketExpired",
    "TicketTooYoung",
    "SubmissionMismatch",
    "NotATarget",
    "TargetFilled",
    "NotAContender",
    "WrongDataSize",
    "WrongDistance",
    "TooFar",
    "DataUsed",
    "NotSettled",
    "NotClaimable",
    "NothingToAudit",
    "WrongHalf",
    "SealMismatch",
    "NotAnUpgrade",
    "AlreadyVoted",
];

/// Those that no transaction has: that one says that the rules contradict themselves, which is a bug of theirs.
pub const UNREACHABLE: [&str; 1] = ["InvariantViolated"];

/// What happened that moves money, by a name.
pub fn happened(event: &Event) -> Option<String> {
    let some = |amount: &Shannons| {
        if *amount > Shannons::ZERO {
            "some"
        } else {
            "nothing"
        }
    };
    Some(match event {
        Event::Settled { outcome, .. } => format!("settled as {outcome:?}"),
        Event::Claimed { finder_fee, .. } => format!("claimed, {} for a finder", some(finder_fee)),
        Event::FalseVerdict { amount, .. } => format!("false verdict cost {}", some(amount)),
        Event::Slashed { amount, .. } => format!("slashed by {}", some(amount)),
        Event::Withheld { amount, .. } => format!("withheld {}", some(amount)),
        Event::Withdrawn { amount, .. } => format!("withdrawn {}", some(amount)),
        Event::OfferDropped { .. } => "offer dropped".to_owned(),
        Event::ModelActive { .. } => "model active".to_owned(),
        Event::ModelInactive { .. } => "model inactive".to_owned(),
        Event::Upgraded { .. } => "upgraded".to_owned(),
        Event::TargetUnfilled { .. } => "target unfilled".to_owned(),
        Event::TicketReturned { lost, .. } => format!("ticket returned, {} lost", some(lost)),
        _ => return None,
    })
}
