//! "Did you mean": the known name that is nearest to a mistyped one.

/// The candidate that was probably meant, if one is near enough.
pub(super) fn suggest<'a>(
    typed: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .filter_map(|candidate| {
            let last = candidate.rsplit('.').next().unwrap_or(candidate);
            let near = distance(typed, candidate).min(distance(typed, last));
            // `series` for `limits.max_series`.
            let part = last.strip_prefix("max_").is_some_and(|rest| rest == typed);
            let near = if part { 0 } else { near };
            (near <= (typed.chars().count() / 3).max(1)).then_some((near, candidate))
        })
        .min_by_key(|(near, _)| *near)
        .map(|(_, candidate)| candidate)
}

/// Insertions, deletions, replacements and swaps of neighbours between the two.
fn distance(a: &str, b: &str) -> usize {
    const MAX_CHARACTERS: usize = 64;
    let a: Vec<char> = a.chars().take(MAX_CHARACTERS).collect();
    let b: Vec<char> = b.chars().take(MAX_CHARACTERS).collect();
    let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let replaced = cell(&last, j) + usize::from(x != y);
            let mut best = replaced.min(cell(&last, j + 1) + 1).min(cell(&row, j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                best = best.min(cell(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    cell(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::suggest;

    #[test]
    fn a_slip_finds_the_name_and_a_stranger_finds_none() {
        let names = ["listen", "decay", "resume_window", "limits.max_series"];
        for (typed, meant) in [
            ("lisen", Some("listen")),
            ("dacey", None),
            ("deacy", Some("decay")),
            ("resume-window", Some("resume_window")),
            ("max_seris", Some("limits.max_series")),
            ("series", Some("limits.max_series")),
            ("limits.max_serie", Some("limits.max_series")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(suggest(typed, names.into_iter()), meant, "{typed}");
        }
    }
}
