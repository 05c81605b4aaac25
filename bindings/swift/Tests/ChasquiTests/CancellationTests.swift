import Chasqui
import Foundation
import Testing

/// Who is cancelled stops waiting; what was asked happened entirely, or not at all.
@Suite struct Cancellation {
    @Test func aMessageIsInTheOutboxOrNotWheneverTheTaskWasCancelled() async throws {
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        let returned = await withTaskGroup(of: String?.self) { group in
            // At another moment each: not begun, on its way, or done.
            for number in 0..<200 {
                group.addTask {
                    let sending = Task {
                        try await ana.sendText("\(number)", to: pair.chat)
                        return "\(number)"
                    }
                    for _ in 0..<(number % 20) { await Task.yield() }
                    sending.cancel()
                    return try? await sending.value
                }
            }
            return await group.reduce(into: []) { all, text in all += [text].compactMap { $0 } }
        }
        try await ana.sendText("the last", to: pair.chat)
        try await pair.bo.client.gets("the last", in: pair.chat)
        // What was asked just before it was cancelled may come behind.
        let texts = try await ana.until(pair.chat, "all received") { $0.allSatisfy { $0.state == .received } }
            .compactMap(\.text)
        #expect(Set(texts).count == texts.count, "nothing twice")
        #expect(Set(returned).isSubset(of: texts), "what was told is so")
        #expect(texts.allSatisfy { $0 == "the last" || Int($0) != nil }, "nothing else")
        let received = try await pair.bo.client.texts(pair.chat)
        #expect(received == texts, "and all of it arrives")
    }

    @Test func whatWasCancelledBeforeItBeganDidNotHappen() async throws {
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        let never = Task {
            while !Task.isCancelled { await Task.yield() }
            try await ana.sendText("never", to: pair.chat)
        }
        never.cancel()
        await #expect(throws: CancellationError.self) { try await never.value }
        #expect(try await ana.texts(pair.chat).isEmpty)
    }

    @Test func whoeverDoesNotKnowSendsAgainUnderTheSameId() async throws {
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        let id = MessageId.random()
        let parts = id.value.split(separator: "-")
        let time = try #require(UInt64(parts[0] + parts[1], radix: 16))
        #expect(abs(Double(time) - Date().timeIntervalSince1970 * 1_000) < 60_000 && parts[2].hasPrefix("7"))
        let sending = Task { try await ana.sendTextAs(id, "once", to: pair.chat) }
        await Task.yield()
        sending.cancel()
        _ = try? await sending.value
        try await ana.sendTextAs(id, "once", to: pair.chat)
        let received = try await pair.bo.client.gets("once", in: pair.chat)
        #expect(received.id == id)
        #expect(try await ana.timeline(pair.chat, limit: 10).items.map(\.id) == [id.value])
        #expect(try await ana.texts(pair.chat) == ["once"])
    }
}
