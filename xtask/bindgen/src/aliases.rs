//! Types that UniFFI gives a name of ours although the language has one: the language's is shown.

/// A line with the language's names instead of ours; `None` for the line that declares one of ours.
pub(crate) fn resolved(line: &str, aliases: &[(&str, &str)]) -> Option<String> {
    let declares = |name: &str| line.strip_prefix("public typealias ").is_some_and(|rest| rest.starts_with(name));
    if aliases.iter().any(|(ours, _)| declares(ours)) {
        return None;
    }
    let (mut resolved, mut rest) = (String::new(), line);
    while let Some(start) = rest.find(is_of_a_word) {
        let (between, from) = rest.split_at(start);
        let (word, after) = from.split_at(from.find(|sign| !is_of_a_word(sign)).unwrap_or(from.len()));
        let theirs = aliases.iter().find(|(ours, _)| *ours == word).map_or(word, |(_, theirs)| theirs);
        resolved.extend([between, theirs]);
        rest = after;
    }
    Some(resolved + rest)
}

/// With the package in front of it, a name is one word.
fn is_of_a_word(sign: char) -> bool {
    sign.is_alphanumeric() || sign == '_' || sign == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_words_alone_are_others() {
        let aliases = [("Count", "Int"), ("im.chasqui.Count", "kotlin.Int")];
        let check = |line: &str, expected: Option<&str>| assert_eq!(resolved(line, &aliases).as_deref(), expected);
        check("    val `unread`: Count,", Some("    val `unread`: Int,"));
        check("val index: im.chasqui.Count, ", Some("val index: kotlin.Int, "));
        check("FfiConverterTypeCount.lift(Countess)", Some("FfiConverterTypeCount.lift(Countess)"));
        check("public typealias Count = Int", None);
        check("", Some(""));
    }
}
