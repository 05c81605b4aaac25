package android.security.keystore

import java.security.spec.AlgorithmParameterSpec

/** What stands for Android's class of this name: what the SDK calls of it, and nothing else. */
class KeyGenParameterSpec private constructor(val keystoreAlias: String, val purposes: Int) : AlgorithmParameterSpec {
    class Builder(private val alias: String, private val purposes: Int) {
        fun build(): KeyGenParameterSpec = KeyGenParameterSpec(alias, purposes)
    }
}
