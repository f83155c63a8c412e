use sidecar_model::{FamilyHeader, Mark, Problem, SampleParts, Sink};

#[derive(Debug)]
pub struct Stager {}
impl Sink for Stager {
    fn next_header_len(&self) -> usize { 0 }
    fn follow_header(&mut self, _: &[u8]) -> bool { false }
    fn header(&mut self, _: Option<&[u8]>, _: &FamilyHeader<'_>) -> Result<(), Problem> { Ok(()) }
    fn next_sample_len(&self) -> usize { 0 }
    fn is_next_sample(&self, _: &[u8]) -> bool { false }
    fn value(&mut self, _: f64) {}
    fn sample(&mut self, _: Option<&[u8]>, _: &mut SampleParts<'_>, _: f64) -> Result<(), Problem> { Ok(()) }
    fn mark(&self) -> Mark { Mark { known: 0, parsed: 0, headers: 0 } }
    fn rewind(&mut self, _: Mark) {}
}
