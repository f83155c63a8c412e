//! One push: its bytes, and where it goes.

/// What a push is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An array of families.
    Json,
    /// Prometheus text 0.0.4.
    Text,
    /// Length-delimited `MetricFamily` messages.
    Protobuf,
}

impl Format {
    /// What the request says of its body.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// One push.
#[derive(Clone, Debug)]
pub struct Body {
    /// What `bytes` are.
    pub format: Format,
    /// `POST` or `PUT`.
    pub method: &'static str,
    /// Where it goes unless told otherwise.
    pub path: String,
    /// The body.
    pub bytes: Vec<u8>,
    /// Where the counter values begin in `bytes`: [`COUNTER_DIGITS`](crate::workload::COUNTER_DIGITS)
    /// digits each, in protobuf a double.
    pub counters: Vec<usize>,
    /// Samples in it.
    pub samples: usize,
}
