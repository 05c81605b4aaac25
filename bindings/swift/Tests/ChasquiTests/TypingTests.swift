import Chasqui
import Foundation
import Testing

/// Who is typing: seen while it happens, and no longer.
@Suite struct WhoIsTyping {
    @Test func typingShowsAndEndsByAWordByAMessageAndWithTheConnection() async throws {
        let pair = try await Pair.meet()
        let (ana, bo, chat) = (pair.ana.client, pair.bo.client, pair.chat)
        try await ana.sendText("hello", to: chat)
        try await bo.gets("hello", in: chat)
        try await bo.sendText("hello yourself", to: chat)
        try await ana.gets("hello yourself", in: chat)
        let anas = [Typing(conversation: chat, user: try await ana.account()!.user)]
        let seen = Seen()
        let watching = Task { for try await list in bo.observeTyping() { await seen.add(list) } }
        try await within("the list as it is") {
            while await seen.lists.isEmpty { try await Task.sleep(for: .milliseconds(5)) }
        }
        // As an app does, key by key: a signal may be lost, and is said again.
        func anaTypes() async throws {
            try await within("Ana to type") {
                while await seen.lists.last != anas {
                    try await ana.setTyping(true, in: chat)
                    try await Task.sleep(for: .milliseconds(50))
                }
            }
        }
        // By itself it would end six seconds after the last word.
        func ends(_ what: String, _ how: () async throws -> Void) async throws {
            let took = try await ContinuousClock().measure {
                try await how()
                try await within(what) { while await seen.lists.last != [] { try await Task.sleep(for: .milliseconds(5)) } }
            }
            #expect(took < .seconds(5), "\(what)")
        }

        try await anaTypes()
        #expect(bo.typing == anas)
        #expect(ana.typing.isEmpty, "one does not see oneself")
        try await ends("Ana to stop") { try await ana.setTyping(false, in: chat) }
        #expect(bo.typing.isEmpty)

        try await anaTypes()
        try await ends("the message in its place") { try await ana.sendText("what I typed", to: chat) }
        try await bo.gets("what I typed", in: chat)

        try await anaTypes()
        try await ends("nothing without a connection") { try await bo.suspend() }
        await #expect(throws: ChasquiError.suspended) { try await bo.setTyping(true, in: chat) }
        try await bo.resume()
        watching.cancel()
        #expect(await seen.lists == [[], anas, [], anas, [], anas, []])
    }

    @Test func itIsRefusedWhereThereIsNoConversationAndEndsWithTheClient() async throws {
        let pair = try await Pair.meet()
        let ana = pair.ana.client
        let nowhere = ConversationId("09090909-0909-7909-8909-090909090909")
        #expect(await refusal { try await ana.setTyping(true, in: nowhere) }?.code == "not_found")
        #expect(await refusal { try await ana.setTyping(true, in: ConversationId("nowhere")) }?.code == "invalid")
        try await ana.close()
        await #expect(throws: ChasquiError.closed) { try await ana.setTyping(true, in: pair.chat) }
        try await within("the end") { for try await _ in ana.observeTyping() {} }
        #expect(ana.typing.isEmpty)
    }
}

/// What an observer showed.
private actor Seen {
    private(set) var lists: [[Typing]] = []

    func add(_ list: [Typing]) { lists.append(list) }
}
