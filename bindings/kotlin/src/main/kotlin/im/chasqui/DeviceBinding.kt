package im.chasqui

import java.io.File
import java.io.RandomAccessFile
import java.security.Key
import java.security.KeyStore
import java.security.KeyStoreException
import java.security.spec.AlgorithmParameterSpec
import javax.crypto.KeyGenerator
import javax.crypto.Mac
import javax.crypto.SecretKey
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.withContext

/**
 * The 32 bytes of [Config.deviceBinding], made by a key that the platform keeps:
 * `Config(folder.path, node, deviceBinding = DeviceBinding.fromAndroidKeystore())`.
 *
 * The same key gives the same bytes, and other ones for each `account`: any text that tells the folders of an app apart. They are
 * an HMAC, so the key itself need not be readable. A folder that was copied or restored without its key fails with
 * [ChasquiException.OtherDevice]; opened with [Config.adoptCopy] it keeps its history, and logs in as a new device.
 */
public object DeviceBinding {
    private const val ANDROID = "AndroidKeyStore"
    private const val HMAC = "HmacSHA256"
    private const val BYTES = 32

    /** `KeyProperties.PURPOSE_SIGN`. */
    private const val PURPOSE_SIGN = 4

    /**
     * By a key of the Android Keystore, which is made when it is first asked for: it cannot be read, leaves the phone in no
     * backup, asks people for nothing, and goes when the app is uninstalled.
     *
     * No key is made while one may be there. Calls at the same time, of whatever processes of the app, get the same bytes.
     *
     * @param alias of the key in the keystore
     * @throws ChasquiException.Unavailable when the keystore does not answer, or has the key and does not give it. Try again
     *   later. If it never does, the key is lost: [removeFromAndroidKeystore], and go on as with a restored folder
     * @throws ChasquiException.Invalid on anything else than Android
     */
    public suspend fun fromAndroidKeystore(account: String = "", alias: String = "chasqui"): ByteArray =
        onAndroid { keyStore ->
            // Not `containsAlias`: for that, a keystore that does not answer has no key, and a new one would replace it. Up to Android
            // 11 `getKey` is like that while the keystore's process is gone; but then it makes no key either.
            val key = keyStore.getKey(alias, null) ?: alone { keyStore.getKey(alias, null) ?: made(keyStore, alias) }
            bytes(key, account)
        }

    /**
     * Removes the key: whatever is sealed by it is lost. After [ChasquiClient.wipe], what a disk may still hold of the folder is of
     * no use to anybody then. Removing none changes nothing.
     *
     * @throws ChasquiException.Unavailable
     * @throws ChasquiException.Invalid on anything else than Android
     */
    public suspend fun removeFromAndroidKeystore(alias: String = "chasqui"): Unit =
        onAndroid { keyStore -> alone { keyStore.deleteEntry(alias) } }

    /**
     * By a secret key of a keystore that the app has loaded: on a desktop for instance a PKCS #12 file, that
     * `keytool -genseckey -alias chasqui -keyalg HmacSHA256 -keysize 256` made. Makes no key: the app would have to
     * store it before a folder is bound to it.
     *
     * @param password of the key
     * @throws ChasquiException.NotFound when there is no such key
     * @throws ChasquiException.Invalid for a wrong password, or a key that is too short or no secret key
     */
    public suspend fun from(keyStore: KeyStore, alias: String, password: CharArray?, account: String = ""): ByteArray =
        withContext(Dispatchers.IO) {
            typed({ ChasquiException.Invalid("the keystore does not give the key: $it") }) {
                bytes(keyStore.getKey(alias, password) ?: throw ChasquiException.NotFound("key"), account)
            }
        }

    private suspend fun <T> onAndroid(work: (KeyStore) -> T): T = withContext(Dispatchers.IO) {
        val keyStore =
            try {
                KeyStore.getInstance(ANDROID)
            } catch (absent: KeyStoreException) {
                throw ChasquiException.Invalid("there is no Android Keystore here: use DeviceBinding.from")
            }
        typed({ ChasquiException.Unavailable("the Android Keystore: $it") }) {
            keyStore.load(null)
            // Its older versions are not safe for threads.
            synchronized(this@DeviceBinding) { work(keyStore) }
        }
    }

    private inline fun <T> typed(error: (String) -> ChasquiException, work: () -> T): T =
        try {
            work()
        } catch (typed: ChasquiException) {
            throw typed
        } catch (other: Exception) {
            throw error((other.cause ?: other).toString()).apply { initCause(other) }
        }

    /** Alone among the processes of the app, whose own this folder is on Android. */
    private fun <T> alone(work: () -> T): T {
        val file = File(System.getProperty("java.io.tmpdir"), "chasqui-keystore.lock")
        return RandomAccessFile(file, "rw").use { lock -> lock.channel.lock().use { work() } }
    }

    /** What it makes replaces a key of that name. Its class is Android's, and not there where this is compiled. */
    private fun made(keyStore: KeyStore, alias: String): Key? {
        val type = Class.forName("android.security.keystore.KeyGenParameterSpec\$Builder")
        val builder =
            type.getConstructor(String::class.java, Int::class.javaPrimitiveType).newInstance(alias, PURPOSE_SIGN)
        val generator = KeyGenerator.getInstance(HMAC, ANDROID)
        generator.init(type.getMethod("build").invoke(builder) as AlgorithmParameterSpec)
        generator.generateKey()
        return keyStore.getKey(alias, null)
    }

    private fun bytes(key: Key?, account: String): ByteArray {
        // Of one that cannot be read, the keystore has chosen the length.
        val length = (key as? SecretKey ?: throw ChasquiException.Invalid("this is no secret key")).encoded?.size
        if (length != null && length < BYTES) throw ChasquiException.Invalid("the key has $length bytes, not $BYTES")
        val hmac = Mac.getInstance(HMAC).apply { init(key) }
        return hmac.doFinal("chasqui/v1/keystore/$account".toByteArray())
    }
}
