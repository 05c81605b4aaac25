import Chasqui
import Foundation
import Testing

/// A defect in Rust is an error, not the end of the app. See `planted.rs`.
@Suite struct Panics {
    static let atOnce = 2_000_000_001
    static let whenAwaited = 2_000_000_002

    @Test func aPanicInACallIsAnError() async throws {
        let pair = try await Pair.meet()
        let panic = await refusal { try await pair.ana.client.timeline(pair.chat, limit: Self.atOnce) }
        #expect(panic?.code == "internal" && panic?.isRetryable == true)
        guard case .internal(let detail)? = panic else { return }
        #expect(detail.contains("a planted panic"))
        try await goOn(pair)
    }

    @Test func aPanicInACallThatDoesNotSuspendIsAnError() async throws {
        let pair = try await Pair.meet()
        let panic = await refusal { _ = try pair.ana.client.observeTimeline(pair.chat, limit: Self.atOnce) }
        #expect(panic?.code == "internal")
        try await goOn(pair)
    }

    @Test func aPanicWhileASequenceWaitsIsAnError() async throws {
        let pair = try await Pair.meet()
        let observer = try pair.ana.client.observeTimeline(pair.chat, limit: 10)
        let panic = await refusal {
            for try await _ in observer.lists { try observer.setLimit(Self.whenAwaited) }
        }
        #expect(panic?.code == "internal")
        try await goOn(pair)
    }

    /// Nothing is locked, lost or stopped.
    private func goOn(_ pair: Pair) async throws {
        try await pair.ana.client.sendText("still here", to: pair.chat)
        try await pair.bo.client.gets("still here", in: pair.chat)
        try await pair.ana.client.until(pair.chat, "received") { $0.first?.state == .received }
        let again = try await pair.ana.reopened().client
        #expect(try await again.texts(pair.chat) == ["still here"])
    }
}
