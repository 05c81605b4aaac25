// swift-tools-version: 6.0
import PackageDescription

let package = Package(
    name: "actor",
    platforms: [.macOS(.v13)],
    dependencies: [.package(path: "../../../bindings/swift")],
    targets: [
        .executableTarget(name: "Actor", dependencies: [.product(name: "Chasqui", package: "swift")])
    ],
    swiftLanguageModes: [.v6]
)
