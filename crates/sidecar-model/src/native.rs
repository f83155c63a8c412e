//! Native histograms: buckets whose bounds a schema gives, sparse.

/// The native buckets of one histogram, as absolute counts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NativeHistogram {
    /// -4 to 8: bucket `index` ends at `2^(index * 2^-schema)`.
    pub schema: i8,
    /// Observations up to this distance from zero are in the zero bucket.
    pub zero_threshold: f64,
    pub zero_count: f64,
    pub count: f64,
    pub sum: f64,
    /// Index and count, by index, without empty buckets.
    pub positive: Vec<(i32, f64)>,
    /// Of observations below zero, by distance from zero.
    pub negative: Vec<(i32, f64)>,
    /// Counts are not whole numbers.
    pub is_float: bool,
}
