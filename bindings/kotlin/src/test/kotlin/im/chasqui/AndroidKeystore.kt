package im.chasqui

import android.security.keystore.KeyGenParameterSpec
import java.io.File
import java.io.InputStream
import java.io.OutputStream
import java.nio.file.Files
import java.nio.file.StandardCopyOption.ATOMIC_MOVE
import java.nio.file.StandardCopyOption.REPLACE_EXISTING
import java.security.Key
import java.security.KeyStore
import java.security.KeyStoreSpi
import java.security.Provider
import java.security.SecureRandom
import java.security.Security
import java.security.UnrecoverableKeyException
import java.security.cert.Certificate
import java.security.spec.AlgorithmParameterSpec
import java.util.Collections
import java.util.Date
import java.util.Enumeration
import javax.crypto.KeyGeneratorSpi
import javax.crypto.SecretKey
import javax.crypto.spec.SecretKeySpec
import kotlinx.coroutines.runBlocking

/**
 * A provider that behaves as Android's in what the SDK relies on: keys lie outside of the process, a generated key replaces
 * one of its name, and a keystore that does not answer contains nothing. All processes that are given the same folder share it.
 */
class AndroidKeystore : Provider("AndroidKeyStore", "1", "stands for Android's") {
    init {
        put("KeyStore.AndroidKeyStore", Keys::class.java.name)
        put("KeyGenerator.HmacSHA256", Generator::class.java.name)
    }

    companion object {
        private lateinit var folder: File

        /** While it is true, no key is given; one would be made all the same. */
        @Volatile var isOutOfOrder: Boolean = false

        fun install(folder: File) {
            this.folder = folder
            Security.addProvider(AndroidKeystore())
        }

        fun remove(): Unit = Security.removeProvider("AndroidKeyStore")

        fun file(alias: String): File = File(folder, "$alias.key")
    }

    class Keys : KeyStoreSpi() {
        override fun engineLoad(stream: InputStream?, password: CharArray?) {}

        override fun engineGetKey(alias: String, password: CharArray?): Key? {
            if (isOutOfOrder) throw UnrecoverableKeyException("no answer")
            val file = file(alias)
            return if (file.exists()) SecretKeySpec(file.readBytes(), "HmacSHA256") else null
        }

        override fun engineDeleteEntry(alias: String) {
            file(alias).delete()
        }

        override fun engineContainsAlias(alias: String): Boolean = !isOutOfOrder && file(alias).exists()

        override fun engineIsKeyEntry(alias: String): Boolean = engineContainsAlias(alias)

        override fun engineIsCertificateEntry(alias: String): Boolean = false

        override fun engineAliases(): Enumeration<String> = Collections.emptyEnumeration()

        override fun engineSize(): Int = throw UnsupportedOperationException()

        override fun engineGetCertificateChain(alias: String): Array<Certificate>? = null

        override fun engineGetCertificate(alias: String): Certificate? = null

        override fun engineGetCertificateAlias(certificate: Certificate): String? = null

        override fun engineGetCreationDate(alias: String): Date? = null

        override fun engineSetKeyEntry(alias: String, key: Key, password: CharArray?, chain: Array<Certificate>?): Unit =
            throw UnsupportedOperationException()

        override fun engineSetKeyEntry(alias: String, key: ByteArray, chain: Array<Certificate>?): Unit =
            throw UnsupportedOperationException()

        override fun engineSetCertificateEntry(alias: String, certificate: Certificate): Unit =
            throw UnsupportedOperationException()

        override fun engineStore(stream: OutputStream, password: CharArray?): Unit =
            throw UnsupportedOperationException()
    }

    class Generator : KeyGeneratorSpi() {
        private lateinit var spec: KeyGenParameterSpec

        override fun engineInit(spec: AlgorithmParameterSpec, random: SecureRandom?) {
            this.spec = spec as KeyGenParameterSpec
            check(spec.purposes == 4) { "for signing" }
        }

        override fun engineInit(random: SecureRandom?): Unit = throw UnsupportedOperationException()

        override fun engineInit(bits: Int, random: SecureRandom?): Unit = throw UnsupportedOperationException()

        override fun engineGenerateKey(): SecretKey {
            val bytes = ByteArray(32).also { SecureRandom().nextBytes(it) }
            val written = File.createTempFile("new", ".key", folder).apply { writeBytes(bytes) }
            Files.move(written.toPath(), file(spec.keystoreAlias).toPath(), REPLACE_EXISTING, ATOMIC_MOVE)
            return SecretKeySpec(bytes, "HmacSHA256")
        }
    }
}

/** A process of an app that asks for its bytes when it is told to, and says them. */
object Asker {
    @JvmStatic
    fun main(arguments: Array<String>): Unit = runBlocking {
        AndroidKeystore.install(File(arguments[0]))
        // Everything that takes time is loaded.
        DeviceBinding.fromAndroidKeystore(alias = "another-${ProcessHandle.current().pid()}")
        println("ready")
        for (alias in generateSequence { readlnOrNull() }) {
            println(DeviceBinding.fromAndroidKeystore(alias = alias).joinToString("") { "%02x".format(it) })
        }
    }

    fun start(keys: File): Process {
        val java = File(System.getProperty("java.home"), "bin/java").path
        val classes = System.getProperty("java.class.path")
        val temporary = "-Djava.io.tmpdir=${System.getProperty("java.io.tmpdir")}"
        val command = listOf(java, temporary, "-cp", classes, "im.chasqui.Asker", keys.path)
        return ProcessBuilder(command).redirectError(ProcessBuilder.Redirect.INHERIT).start()
    }
}
