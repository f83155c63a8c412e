//! Random bodies: as writers make them, with fields in odd places, and with bytes changed.

use crate::writer::{Message, body, message};
use proptest::prelude::*;

fn word() -> impl Strategy<Value = String> {
    prop_oneof![20 => "[a-c]{1,2}", 1 => Just(String::new()), 1 => Just("__x".to_owned()), 1 => Just("é".to_owned())]
}

fn number() -> impl Strategy<Value = f64> {
    prop_oneof![4 => (0..9_u32).prop_map(f64::from), 1 => any::<f64>()]
}

fn whole() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..200_u64, 1 => any::<u64>()]
}

fn time() -> impl Strategy<Value = Option<Message>> {
    prop::option::weighted(0.3, (whole(), 0..2_000_000_000_u64))
        .prop_map(|time| time.map(|(seconds, nanos)| message().int(1, seconds).int(2, nanos)))
}

fn exemplar() -> impl Strategy<Value = Option<Message>> {
    prop::option::weighted(0.2, (word(), number(), time())).prop_map(|parts| {
        parts.map(|(label, value, time)| {
            let exemplar = message().label(&label, "v").double(2, value);
            time.iter().fold(exemplar, |m, time| m.inner(3, time))
        })
    })
}

fn with(of: Message, field: u32, inner: Option<&Message>) -> Message {
    match inner {
        Some(inner) => of.inner(field, inner),
        None => of,
    }
}

fn scalar(field: u32) -> impl Strategy<Value = (u32, Message)> {
    (prop::option::weighted(0.9, number()), exemplar(), time()).prop_map(
        move |(value, exemplar, time)| {
            let inner = value.map_or(message(), |value| message().double(1, value));
            (field, with(with(inner, 2, exemplar.as_ref()), 3, time.as_ref()))
        },
    )
}

fn summary() -> impl Strategy<Value = (u32, Message)> {
    let quantiles = prop::collection::vec((number(), number()), 0..3);
    (whole(), number(), quantiles, time()).prop_map(|(count, sum, quantiles, time)| {
        let inner = message().int(1, count).double(2, sum);
        let inner = quantiles.iter().fold(inner, |inner, (quantile, value)| {
            inner.inner(3, &message().double(1, *quantile).double(2, *value))
        });
        (4, with(inner, 4, time.as_ref()))
    })
}

fn native() -> impl Strategy<Value = Message> {
    let spans = prop::collection::vec((-3..9_i64, 0..4_u64), 0..3);
    let deltas = prop::collection::vec(-3..9_i64, 0..6);
    (-5..10_i64, whole(), number(), spans, deltas, any::<bool>()).prop_map(
        |(schema, zeros, threshold, spans, deltas, exact)| {
            let all: u64 = spans.iter().map(|span| span.1).sum();
            let deltas: Vec<i64> = if exact {
                deltas.iter().copied().chain(std::iter::repeat(1)).take(all as usize).collect()
            } else {
                deltas
            };
            let inner = message().signed(5, schema).double(6, threshold).int(7, zeros);
            let inner = spans.iter().fold(inner, |m, (offset, len)| m.span(12, *offset, *len));
            inner.packed_signed(13, &deltas)
        },
    )
}

fn histogram() -> impl Strategy<Value = (u32, Message)> {
    let buckets = prop::collection::vec((whole(), number(), exemplar()), 0..4);
    let native = prop::option::weighted(0.4, native());
    (whole(), number(), buckets, native, exemplar(), time()).prop_map(
        |(count, sum, buckets, native, exemplar, time)| {
            let mut inner = message().int(1, count).double(2, sum);
            for (count, bound, exemplar) in &buckets {
                let bucket = message().int(1, *count).double(2, *bound);
                inner = inner.inner(3, &with(bucket, 3, exemplar.as_ref()));
            }
            inner.0.extend(native.map(|native| native.0).unwrap_or_default());
            (7, with(with(inner, 16, exemplar.as_ref()), 15, time.as_ref()))
        },
    )
}

/// Labels and value; sometimes other fields, or others' order.
fn metric(value: impl Strategy<Value = (u32, Message)>) -> impl Strategy<Value = Message> {
    let labels = prop::collection::vec((word(), word()), 0..3);
    (labels, value, 0..20_u32).prop_map(|(labels, (field, value), odd)| {
        let labels = |of: Message| labels.iter().fold(of, |m, (n, v)| m.label(n, v));
        match odd {
            0 => labels(message().inner(field, &value)),
            1 => labels(message()).inner(field, &value).int(6, 1),
            2 => labels(message().int(99, 3)).inner(field, &value).bytes(98, b"x"),
            3 => labels(message()),
            4 => labels(message()).inner(field, &value).inner(field, &value),
            _ => labels(message()).inner(field, &value),
        }
    })
}

fn metrics() -> impl Strategy<Value = (u64, Vec<Message>)> {
    let some = |kind: u64, metric: BoxedStrategy<Message>| {
        prop::collection::vec(metric, 0..4).prop_map(move |metrics| (kind, metrics))
    };
    prop_oneof![
        4 => some(0, metric(scalar(3)).boxed()),
        2 => some(1, metric(scalar(2)).boxed()),
        1 => some(3, metric(scalar(5)).boxed()),
        2 => some(2, metric(summary()).boxed()),
        3 => some(4, metric(histogram()).boxed()),
        1 => some(5, metric(histogram()).boxed()),
        1 => some(6, metric(scalar(2)).boxed()),
    ]
}

fn family() -> impl Strategy<Value = Message> {
    (word(), metrics(), 0..12_u32).prop_map(|(name, (kind, metrics), odd)| {
        let header = message().text(1, &name).text(2, "help").int(3, kind);
        let all = metrics.iter().fold(header, |m, metric| m.inner(4, metric));
        match odd {
            0 => all.text(5, "seconds"),
            1 => all.text(1, "z"),
            2 => all.int(77, 1),
            _ => all,
        }
    })
}

pub(crate) fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(family(), 0..4).prop_map(|families| body(&families))
}

/// A change to a body: so many bytes are removed at a place, and others put there.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    at: prop::sample::Index,
    removed: usize,
    put: Vec<u8>,
}

pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let put = prop_oneof![
        2 => prop::collection::vec(any::<u8>(), 1..2),
        1 => prop::collection::vec(0..40_u8, 0..3),
    ];
    let edit = (any::<prop::sample::Index>(), 0..3_usize, put)
        .prop_map(|(at, removed, put)| Edit { at, removed, put });
    prop::collection::vec(edit, 0..3)
}

pub(crate) fn edited(body: &[u8], edits: &[Edit]) -> Vec<u8> {
    let mut bytes = body.to_vec();
    for Edit { at, removed, put } in edits {
        let at = at.index(bytes.len() + 1);
        let end = (at + removed).min(bytes.len());
        bytes.splice(at..end, put.iter().copied());
    }
    bytes
}
