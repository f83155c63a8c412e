//! The encoders of the scrape thread. Each keeps what it rendered for the page before; that is as
//! large as a page, so only the ones used last are kept.

use crate::http::negotiate::{Accepted, Format};
use sidecar_formats::Page;
use sidecar_formats::open_metrics::OpenMetricsEncoder;
use sidecar_formats::prom_text::TextEncoder;
use sidecar_formats::protobuf::ProtobufEncoder;
use sidecar_model::{Escaping, Exposition};

/// Encoders that keep what they rendered.
const KEPT: usize = 2;

/// The last used first.
#[derive(Debug, Default)]
pub(super) struct Encoders(Vec<(Escaping, Encoder)>);

#[derive(Debug)]
enum Encoder {
    Text(TextEncoder),
    OpenMetrics(OpenMetricsEncoder),
    Protobuf(ProtobufEncoder),
}

impl Encoder {
    fn new(format: Format) -> Encoder {
        match format {
            Format::Protobuf => Encoder::Protobuf(ProtobufEncoder::new()),
            Format::OpenMetrics1_0_0 | Format::OpenMetrics0_0_1 => {
                Encoder::OpenMetrics(OpenMetricsEncoder::new())
            }
            Format::Text1_0_0 | Format::Text0_0_4 => Encoder::Text(TextEncoder::new()),
        }
    }

    /// Versions that differ in their name alone share an encoder.
    fn encodes(&self, format: Format) -> bool {
        match self {
            Encoder::Protobuf(_) => format == Format::Protobuf,
            Encoder::OpenMetrics(_) => {
                matches!(format, Format::OpenMetrics1_0_0 | Format::OpenMetrics0_0_1)
            }
            Encoder::Text(_) => matches!(format, Format::Text1_0_0 | Format::Text0_0_4),
        }
    }

    fn page(&mut self, exposition: Exposition, escaping: Escaping) -> Box<dyn Page> {
        match self {
            Encoder::Text(encoder) => Box::new(encoder.page(exposition, escaping)),
            Encoder::OpenMetrics(encoder) => Box::new(encoder.page(exposition, escaping)),
            Encoder::Protobuf(encoder) => Box::new(encoder.page(exposition, escaping)),
        }
    }
}

impl Encoders {
    /// Memory is short: keeps nothing but what the next page uses.
    pub(super) fn keep_only(&mut self, accepted: Accepted) {
        let (format, escaping) = (accepted.format, accepted.escaping());
        self.0.retain(|(e, encoder)| *e == escaping && encoder.encodes(format));
    }

    pub(super) fn page(&mut self, exposition: Exposition, accepted: Accepted) -> Box<dyn Page> {
        let (format, escaping) = (accepted.format, accepted.escaping());
        let found =
            self.0.iter().position(|(e, encoder)| *e == escaping && encoder.encodes(format));
        let (_, mut encoder) = match found {
            Some(at) => self.0.remove(at),
            None => (escaping, Encoder::new(format)),
        };
        let page = encoder.page(exposition, escaping);
        self.0.truncate(KEPT - 1);
        self.0.insert(0, (escaping, encoder));
        page
    }
}

/// A page that is asked for rarely, or is small.
pub(super) fn page_once(exposition: Exposition, accepted: Accepted) -> Box<dyn Page> {
    Encoder::new(accepted.format).page(exposition, accepted.escaping())
}

/// The families that print one of these names.
pub(super) fn only(mut exposition: Exposition, names: &[String], escaping: Escaping) -> Exposition {
    let families = &mut exposition.families;
    families.retain(|family| sidecar_formats::prints_one_of(&family.layout, escaping, names));
    exposition
}
