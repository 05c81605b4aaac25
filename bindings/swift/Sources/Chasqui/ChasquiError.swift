import Foundation

extension ChasquiError: LocalizedError {
    /// English, for developers; begins with ``code``. What people read is the app's to say.
    public var errorDescription: String? { description }
}

extension ChasquiError: CustomStringConvertible {}
