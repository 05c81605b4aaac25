//! What UniFFI's Kotlin lacks of what a Kotlin library shows: machinery hidden, properties, messages that say something.
//!
//! Each is a change to lines that the generator is known to write; one that does not find its lines is an error, so that a
//! new UniFFI cannot undo it in silence.

use crate::aliases::resolved;

/// Ours, and Kotlin's.
const ALIASES: [(&str, &str); 4] = [
    ("Count", "kotlin.Int"),
    ("im.chasqui.Count", "kotlin.Int"),
    ("Timestamp", "kotlin.time.Instant"),
    ("im.chasqui.Timestamp", "kotlin.time.Instant"),
];

/// The file as it is compiled.
pub(crate) fn finished(generated: &str) -> Result<String, String> {
    let mut changed = Changed::default();
    let resolved = generated.lines().filter_map(|line| resolved(line, &ALIASES));
    let lines: Vec<String> = resolved.map(|line| finished_line(&line, &mut changed)).collect();
    let Changed { hidden, properties, messages, objects } = changed;
    for (what, count) in [
        ("hidden", hidden),
        ("made a property", properties),
        ("given a message", messages),
        ("made a data object", objects),
    ] {
        if count == 0 {
            return Err(format!("nothing was {what}: does UniFFI write other Kotlin now?"));
        }
    }
    Ok(lines.join("\n") + "\n")
}

/// How many lines.
#[derive(Default)]
struct Changed {
    hidden: u32,
    properties: u32,
    messages: u32,
    objects: u32,
}

/// What stands in front of declarations that anybody could see.
const OPEN: [&str; 9] = [
    "public object ",
    "public interface ",
    "public fun ",
    "open class ",
    "interface ",
    "object ",
    "class ",
    "fun ",
    "public typealias ",
];
/// What is nobody's business but the wrapper's.
const MACHINERY: [&str; 8] =
    ["FfiConverter", "Native", "RustBuffer", "Uniffi", "uniffi", "Disposable", "NoHandle", "InternalException"];

fn finished_line(line: &str, changed: &mut Changed) -> String {
    let declared = OPEN.iter().find_map(|open| Some((open, line.strip_prefix(open)?)));
    if let Some((open, _)) = declared.filter(|(_, name)| MACHINERY.iter().any(|start| name.starts_with(start))) {
        changed.hidden += 1;
        let open = open.strip_prefix("public ").unwrap_or(open);
        return format!("internal {open}{}", declared.map_or("", |(_, name)| name));
    }
    if line.starts_with("inline fun <T : Disposable") {
        changed.hidden += 1;
        return format!("internal {line}");
    }
    let indented = line.trim_start();
    if indented.starts_with("suspend fun `native") {
        changed.hidden += 1;
        return format!("internal {indented}");
    }
    // What errors tell of themselves.
    for (function, property) in [
        ("*/ fun `code`(): kotlin.String {", "*/ val `code`: kotlin.String get() {"),
        ("*/ fun `isRetryable`(): kotlin.Boolean {", "*/ val `isRetryable`: kotlin.Boolean get() {"),
    ] {
        if indented == function {
            changed.properties += 1;
            return line.replace(function, property);
        }
    }
    if indented.starts_with("get() = \"") {
        changed.messages += 1;
        return "            get() = toString()".to_owned();
    }
    if indented.starts_with("companion object ErrorHandler ") {
        changed.hidden += 1;
        return line.replace("companion object", "internal companion object");
    }
    if line.starts_with("    object ") && line.ends_with("()") {
        changed.objects += 1;
        return line.replacen("object", "data object", 1);
    }
    line.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_machinery_is_hidden_and_the_rest_is_not() {
        let check = |line: &str, expected: &str| {
            assert_eq!(finished_line(line, &mut Changed::default()), expected);
        };
        check("open class NativeClient: Disposable", "internal open class NativeClient: Disposable");
        check("public object FfiConverterString: X {", "internal object FfiConverterString: X {");
        check("     suspend fun `nativePeek`(", "internal suspend fun `nativePeek`(");
        check("interface Disposable {", "internal interface Disposable {");
        check("data class Message (", "data class Message (");
        check("sealed class MessageState {", "sealed class MessageState {");
        check("    object Pending : MessageState()", "    data object Pending : MessageState()");
        check("            get() = \"detail=${ `detail` }\"", "            get() = toString()");
    }

    #[test]
    fn another_generator_is_noticed() {
        assert!(finished("data class Message (\n)").is_err());
    }
}
