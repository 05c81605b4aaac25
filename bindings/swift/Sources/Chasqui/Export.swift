import Foundation

/// Everything that a device holds, a page at a time: whole lines of JSON. For one consumer.
public struct ExportPages: AsyncSequence, Sendable {
    public typealias Element = Data
    let native: NativeExport

    public func makeAsyncIterator() -> Iterator { Iterator(native: native) }

    /// Gives pages until the last.
    public struct Iterator: AsyncIteratorProtocol, Sendable {
        let native: NativeExport

        /// The next whole lines.
        ///
        /// - Throws: ``ChasquiError/suspended`` or ``ChasquiError/closed``; the same page may be asked for again.
        public mutating func next() async throws -> Data? {
            let native = native
            return try await typed { try await native.next() }
        }
    }
}

extension ChasquiClient {
    /// Everything that this device holds of the account, as pages for a place of the app's choice.
    public func exportPages() -> ExportPages { ExportPages(native: native.exportPages()) }

    /// Writes everything that this device holds of the account into a file, which is replaced. No secrets are in it; its
    /// lines are JSON. Memory stays bounded, and other calls are answered in between.
    ///
    /// - Throws: ``ChasquiError/storageFull`` and ``ChasquiError/invalid(detail:)`` when it cannot be written. A file whose
    /// last line is missing did not end.
    public func export(to file: URL) async throws {
        try await exportPages().write(to: file)
    }
}

extension AsyncSequence where Element == Data {
    /// Writes all pages into a file, which is replaced.
    func write(to file: URL) async throws {
        do {
            try Data().write(to: file)
            let handle = try FileHandle(forWritingTo: file)
            defer { try? handle.close() }
            for try await page in self {
                try handle.write(contentsOf: page)
            }
            try handle.synchronize()
        } catch let error as CocoaError {
            throw error.code == .fileWriteOutOfSpace
                ? ChasquiError.storageFull : ChasquiError.invalid(detail: error.localizedDescription)
        }
    }
}
