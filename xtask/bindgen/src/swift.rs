//! What UniFFI's Swift lacks of what a Swift library shows: machinery hidden, cases in lower case, properties, cancellation.
//!
//! Each is a change to lines that the generator is known to write; one that does not find its lines is an error, so that a
//! new UniFFI cannot undo it in silence.

use crate::aliases::resolved;

/// Ours, and Swift's.
const ALIASES: [(&str, &str); 2] = [("Count", "Int"), ("Timestamp", "Date")];

/// The file as it is compiled.
pub(crate) fn finished(generated: &str) -> Result<String, String> {
    let mut finish = Finish::default();
    let resolved = generated.lines().filter_map(|line| resolved(line, &ALIASES));
    let lines: Vec<String> = resolved.map(|line| finish.line(&line)).collect();
    let Finish { hidden, cases, properties, cancelled, calls, is_in_error: _ } = finish;
    let all = [("hidden", hidden), ("written in lower case", cases), ("made a property", properties)];
    for (what, count) in [&all[..], &[("given a way to be cancelled", calls)]].concat() {
        if count == 0 {
            return Err(format!("nothing was {what}: does UniFFI write other Swift now?"));
        }
    }
    if usize::try_from(cancelled) != Ok(CANCELLATION.len()) {
        return Err("the function that waits is another one: does UniFFI write other Swift now?".into());
    }
    Ok(lines.join("\n") + "\n")
}

/// How far it is, and how many lines were changed.
#[derive(Default)]
struct Finish {
    /// Between the error's declaration and the end of what converts it: the one enum whose cases UniFFI writes in upper case.
    is_in_error: bool,
    hidden: u32,
    cases: u32,
    properties: u32,
    /// Of the function that waits.
    cancelled: u32,
    /// Calls that can be cancelled.
    calls: u32,
}

/// What anybody could see, and is nobody's business but the wrapper's.
const MACHINERY: [(&str, &str); 8] = [
    ("public struct FfiConverter", "struct FfiConverter"),
    ("public func FfiConverter", "func FfiConverter"),
    ("public func uniffi", "func uniffi"),
    ("public func native", "func native"),
    ("public protocol Native", "protocol Native"),
    ("open class Native", "final class Native"),
    ("public static func `open`", "static func `open`"),
    ("open func ", "func "),
];

/// What the error tells of itself.
const PROPERTIES: [(&str, &str); 2] = [
    ("public func code() -> String  {", "public var code: String {"),
    ("public func isRetryable() -> Bool  {", "public var isRetryable: Bool {"),
];

/// The function that waits for Rust: a task that is cancelled ends its wait, and Rust drops what it was about to do. `UnderWay`
/// is the wrapper's.
const CANCELLATION: [(&str, &str); 6] = [
    (
        "    freeFunc: (UInt64) -> (),",
        "    freeFunc: (UInt64) -> (),\n    cancelFunc: @escaping @Sendable (UInt64) -> (),",
    ),
    (
        "    let rustFuture = rustFutureFunc()",
        "    let rustFuture = rustFutureFunc()\n    let underWay = UnderWay(rustFuture, cancel: cancelFunc)",
    ),
    ("        freeFunc(rustFuture)", "        underWay.end()\n        freeFunc(rustFuture)"),
    (
        "        pollResult = await withUnsafeContinuation {",
        "        pollResult = await withTaskCancellationHandler {\n        await withUnsafeContinuation {",
    ),
    (
        "    } while pollResult != UNIFFI_RUST_FUTURE_POLL_READY",
        "        } onCancel: { underWay.cancel() }\n    } while pollResult != UNIFFI_RUST_FUTURE_POLL_READY",
    ),
    ("            fatalError(\"Cancellation not supported yet\")", "            throw CancellationError()"),
];

/// In a call: what frees its future. What cancels it has the same name but for one word.
const FREES: &str = "            freeFunc: ffi_chasqui_ffi_rust_future_free_";

/// What stands in front of a case where it is declared, made or matched.
const CASES: [&str; 4] = ["case let .", "case .", "case ", "return ."];

impl Finish {
    fn line(&mut self, line: &str) -> String {
        if line.starts_with("enum ChasquiError") || line.starts_with("public enum ChasquiError") {
            self.is_in_error = true;
        }
        if line.starts_with("public func FfiConverterTypeChasquiError_lift") {
            self.is_in_error = false;
        }
        for (shown, hidden) in MACHINERY {
            if let Some(rest) = line.strip_prefix(shown) {
                self.hidden += 1;
                return format!("{hidden}{rest}");
            }
        }
        for (function, property) in PROPERTIES {
            if line == function {
                self.properties += 1;
                return property.to_owned();
            }
        }
        if let Some((_, cancelling)) = CANCELLATION.iter().find(|(found, _)| *found == line) {
            self.cancelled += 1;
            return (*cancelling).to_owned();
        }
        if let Some(kind) = line.strip_prefix(FREES) {
            self.calls += 1;
            return format!("{line}\n            cancelFunc: ffi_chasqui_ffi_rust_future_cancel_{kind}");
        }
        if self.is_in_error { self.case(line) } else { line.to_owned() }
    }

    fn case(&mut self, line: &str) -> String {
        // Of "case 1: return .Offline(" the name is what follows "return .".
        let place = CASES.iter().find_map(|front| {
            let at = line.find(front)? + front.len();
            line[at..].starts_with(|first: char| first.is_ascii_uppercase()).then_some(at)
        });
        let Some(at) = place else { return line.to_owned() };
        self.cases += 1;
        let (before, name) = line.split_at(at);
        let (first, rest) = name.split_at(1);
        // A word that Swift keeps for itself.
        let name = format!("{}{rest}", first.to_ascii_lowercase());
        match name.strip_prefix("internal") {
            Some(rest) => format!("{before}`internal`{rest}"),
            None => format!("{before}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, finished: &str) {
        let mut finish = Finish { is_in_error: true, ..Finish::default() };
        assert_eq!(finish.line(line), finished);
    }

    #[test]
    fn lines_of_the_error_and_of_machinery() {
        check("    case RateLimited(", "    case rateLimited(");
        check("        case 1: return .Offline(", "        case 1: return .offline(");
        check("        case 3: return .Unauthorised", "        case 3: return .unauthorised");
        check("        case let .TooLarge(size,limit):", "        case let .tooLarge(size,limit):");
        check("        case .Closed:", "        case .closed:");
        check("    case Internal(", "    case `internal`(");
        check("public func code() -> String  {", "public var code: String {");
        check(
            "open class NativeClient: NativeClientProtocol, @unchecked Sendable {",
            "final class NativeClient: NativeClientProtocol, @unchecked Sendable {",
        );
        check("    let detail = Text(", "    let detail = Text(");
        check(
            "            freeFunc: ffi_chasqui_ffi_rust_future_free_i8,",
            "            freeFunc: ffi_chasqui_ffi_rust_future_free_i8,\n            cancelFunc: ffi_chasqui_ffi_rust_future_cancel_i8,",
        );
    }

    #[test]
    fn another_generator_is_noticed() {
        assert!(finished("public enum ChasquiError {\n}\n").is_err());
    }
}
