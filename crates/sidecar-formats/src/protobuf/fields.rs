//! The numbers of the messages' fields and types, from the public `metrics.proto`.

pub(super) mod family {
    pub(in crate::protobuf) const NAME: u32 = 1;
    pub(in crate::protobuf) const HELP: u32 = 2;
    pub(in crate::protobuf) const TYPE: u32 = 3;
    pub(in crate::protobuf) const METRIC: u32 = 4;
    pub(in crate::protobuf) const UNIT: u32 = 5;
}

pub(super) mod metric {
    pub(in crate::protobuf) const LABEL: u32 = 1;
    pub(in crate::protobuf) const GAUGE: u32 = 2;
    pub(in crate::protobuf) const COUNTER: u32 = 3;
    pub(in crate::protobuf) const SUMMARY: u32 = 4;
    pub(in crate::protobuf) const UNTYPED: u32 = 5;
    pub(in crate::protobuf) const TIMESTAMP_MS: u32 = 6;
    pub(in crate::protobuf) const HISTOGRAM: u32 = 7;
}

/// Of a label pair: name and value.
pub(super) mod label {
    pub(in crate::protobuf) const NAME: u32 = 1;
    pub(in crate::protobuf) const VALUE: u32 = 2;
}

/// Of a counter; a gauge and an untyped value have the first only.
pub(super) mod counter {
    pub(in crate::protobuf) const VALUE: u32 = 1;
    pub(in crate::protobuf) const EXEMPLAR: u32 = 2;
    pub(in crate::protobuf) const START: u32 = 3;
}

pub(super) mod summary {
    pub(in crate::protobuf) const COUNT: u32 = 1;
    pub(in crate::protobuf) const SUM: u32 = 2;
    pub(in crate::protobuf) const QUANTILE: u32 = 3;
    pub(in crate::protobuf) const START: u32 = 4;
}

/// Of a summary's quantile.
pub(super) mod quantile {
    pub(in crate::protobuf) const QUANTILE: u32 = 1;
    pub(in crate::protobuf) const VALUE: u32 = 2;
}

pub(super) mod histogram {
    pub(in crate::protobuf) const COUNT: u32 = 1;
    pub(in crate::protobuf) const SUM: u32 = 2;
    pub(in crate::protobuf) const BUCKET: u32 = 3;
    pub(in crate::protobuf) const COUNT_FLOAT: u32 = 4;
    pub(in crate::protobuf) const SCHEMA: u32 = 5;
    pub(in crate::protobuf) const ZERO_THRESHOLD: u32 = 6;
    pub(in crate::protobuf) const ZERO_COUNT: u32 = 7;
    pub(in crate::protobuf) const ZERO_COUNT_FLOAT: u32 = 8;
    pub(in crate::protobuf) const NEGATIVE_SPAN: u32 = 9;
    pub(in crate::protobuf) const NEGATIVE_DELTA: u32 = 10;
    pub(in crate::protobuf) const NEGATIVE_COUNT: u32 = 11;
    pub(in crate::protobuf) const POSITIVE_SPAN: u32 = 12;
    pub(in crate::protobuf) const POSITIVE_DELTA: u32 = 13;
    pub(in crate::protobuf) const POSITIVE_COUNT: u32 = 14;
    pub(in crate::protobuf) const START: u32 = 15;
    pub(in crate::protobuf) const EXEMPLAR: u32 = 16;
}

pub(super) mod bucket {
    pub(in crate::protobuf) const COUNT: u32 = 1;
    pub(in crate::protobuf) const UPPER_BOUND: u32 = 2;
    pub(in crate::protobuf) const EXEMPLAR: u32 = 3;
    pub(in crate::protobuf) const COUNT_FLOAT: u32 = 4;
}

pub(super) mod span {
    pub(in crate::protobuf) const OFFSET: u32 = 1;
    pub(in crate::protobuf) const LENGTH: u32 = 2;
}

pub(super) mod exemplar {
    pub(in crate::protobuf) const LABEL: u32 = 1;
    pub(in crate::protobuf) const VALUE: u32 = 2;
    pub(in crate::protobuf) const TIMESTAMP: u32 = 3;
}

/// Of `google.protobuf.Timestamp`.
pub(super) mod timestamp {
    pub(in crate::protobuf) const SECONDS: u32 = 1;
    pub(in crate::protobuf) const NANOS: u32 = 2;
}

/// A family's type; where none is written it is a counter.
pub(super) mod kind {
    pub(in crate::protobuf) const COUNTER: u64 = 0;
    pub(in crate::protobuf) const GAUGE: u64 = 1;
    pub(in crate::protobuf) const SUMMARY: u64 = 2;
    pub(in crate::protobuf) const UNTYPED: u64 = 3;
    pub(in crate::protobuf) const HISTOGRAM: u64 = 4;
    pub(in crate::protobuf) const GAUGE_HISTOGRAM: u64 = 5;
}
