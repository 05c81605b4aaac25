import Chasqui
import Foundation

/// The actor in Swift: orders and answers as in ../../../src/lib.rs.
@main
struct Actor {
    static func main() async throws {
        var actor = Actor()
        while let line = readLine() {
            let order = try JSONDecoder().decode(Order.self, from: Data(line.utf8))
            var answer: Answer
            do {
                answer = try await actor.obey(order)
            } catch let error as ChasquiError {
                answer = Answer(is: "failed", code: error.code, detail: error.description)
            }
            var said = try JSONEncoder().encode(answer)
            said.append(UInt8(ascii: "\n"))
            try FileHandle.standardOutput.write(contentsOf: said)
        }
        try await actor.client?.close()
    }

    var client: ChasquiClient?
    var name = ""

    mutating func obey(_ order: Order) async throws -> Answer {
        switch order.do {
        case "register":
            let client = try await ChasquiClient.open(Config(folder: order.folder!, node: order.node!))
            try await client.register(name: order.name!, password: order.password!, deviceName: "swift")
            (self.client, name) = (client, order.name!)
            return Answer(is: "done")
        case "write":
            let chat = try await chat(with: order.to!)
            for number in 1...order.count! {
                try await client!.sendText("\(name) to \(order.to!) \(number)", to: chat)
            }
            return Answer(is: "done")
        case "settle":
            let chat = try await chat(with: order.with!)
            for try await items in try client!.observeTimeline(chat, limit: 10_000).lists {
                try await client!.markRead(chat)
                let messages = items.compactMap { if case .message(let message) = $0 { message } else { nil } }
                if messages.count >= order.messages!, messages.allSatisfy({ !$0.isOwn || $0.state == .read }) {
                    return Answer(is: "history", lines: messages.map(Line.init))
                }
            }
            return Answer(is: "failed", code: "ended", detail: "the timeline ended")
        default:
            return Answer(is: "failed", code: "unknown", detail: order.do)
        }
    }

    func chat(with name: String) async throws -> ConversationId {
        guard let client else { throw ChasquiError.notEnrolled }
        return try await client.openDirect(with: client.findUser(name: name).user)
    }
}

struct Order: Decodable {
    let `do`: String
    let folder, node, name, password, to, with: String?
    let count, messages: Int?
}

struct Answer: Encodable {
    let `is`: String
    var lines: [Line]?
    var code, detail: String?
}

struct Line: Encodable {
    let id: String
    let seq: UInt64
    let text: String

    init(_ message: Message) {
        (id, seq) = (message.id.value, message.seq?.raw ?? 0)
        text = if case .text(let text) = message.content { text } else { "\(message.content)" }
    }
}
