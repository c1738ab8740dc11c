//! What errors of librdkafka mean to whoever uses the broker.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::broker::Error;

/// A call could not be done because Kafka, or the way to it, is not there at the moment.
fn is_away(code: Code) -> bool {
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::MessageTimedOut
            | Code::RequestTimedOut
            | Code::TimedOutQueue
            | Code::WaitingForCoordinator
            | Code::PurgeQueue
            | Code::PurgeInflight
            | Code::BrokerDestroy
            | Code::NodeUpdate
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::NetworkException
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::NotEnoughReplicas
            | Code::NotEnoughReplicasAfterAppend
            | Code::KafkaStorageError
            | Code::NotController
            | Code::Authentication
            | Code::PollExceeded
            // A producer that cannot go on; the next one may.
            | Code::Fatal
            | Code::GaplessGuarantee
            | Code::OutOfOrderSequenceNumber
            | Code::InvalidProducerIdMapping
            | Code::UnknownProducerId
            | Code::InvalidProducerEpoch
    )
}

pub(super) fn from(e: KafkaError) -> Error {
    match &e {
        // The library does not tell the codes of these.
        KafkaError::AdminOp(code) => of(*code, Box::new(e)),
        _ => of(e.rdkafka_error_code().unwrap_or(Code::Fail), Box::new(e)),
    }
}

/// An error with a code.
pub(super) fn of(code: Code, source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    if is_away(code) {
        Error::Unavailable(source)
    } else {
        Error::Backend(source)
    }
}

/// An error in a property. Its value may be a secret and is in the library's text: only the name is told.
pub(super) fn config(e: KafkaError) -> Error {
    let text = match &e {
        KafkaError::ClientConfig(_, why, name, _) if why.starts_with("No such") => {
            format!("librdkafka has no property `{name}`")
        }
        KafkaError::ClientConfig(_, why, name, _)
            if why.contains("not supported in this build") =>
        {
            format!("`{name}` is not in this build; `kafka-ssl` is the feature with TLS and SCRAM")
        }
        KafkaError::ClientConfig(_, _, name, _) => {
            format!("the value of `{name}` is not one that librdkafka takes")
        }
        KafkaError::ClientCreation(why) => format!("the properties do not fit together: {why}"),
        _ => "the properties are not such as librdkafka takes".to_owned(),
    };
    Error::Backend(text.into())
}

pub(super) fn closed() -> Error {
    Error::Unavailable("the broker is closed".into())
}

/// A task of ours ended early, which only happens when the runtime shuts down.
pub(super) fn ended(_: impl std::error::Error) -> Error {
    Error::Unavailable("the runtime shuts down".into())
}
