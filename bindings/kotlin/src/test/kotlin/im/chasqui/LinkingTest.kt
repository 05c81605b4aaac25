package im.chasqui

import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.launch
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertNotEquals
import org.junit.jupiter.api.Assertions.assertTrue
import org.junit.jupiter.api.Test

/** How a further device of somebody comes to take part in what is encrypted, and what it can do before. */
class LinkingTest {
    @Test
    fun `link a device`() = test {
        Pair.meet {
            ana.client.sendText(chat, "before")
            bo.gets(chat, "before")
            val laptop = Device.loggedIn(node, "ana")
            assertTrue(ana.client.account()!!.isLinked)
            assertFalse(laptop.client.account()!!.isLinked)
            val code = laptop.client.beginLinking()
            assertTrue(code.startsWith("chasqui:link:") && code.all { it.code in 0x21..0x7e }, code)
            coroutineScope {
                val number = async { laptop.client.linkingNumber() }
                assertEquals(ana.client.linkDevice(code), number.await())
                assertTrue(number.await().length == 6 && number.await().all(Char::isDigit), number.await())
                launch { laptop.client.confirmLinking() }
                ana.client.confirmLinking()
            }
            assertTrue(laptop.client.account()!!.isLinked)
            bo.client.sendText(chat, "for both")
            for (device in listOf(ana, laptop)) device.gets(chat, "for both")
            assertEquals(chat, laptop.client.openDirect(bo.user()))
            laptop.client.sendText(chat, "from the laptop")
            for (device in listOf(ana, bo)) device.gets(chat, "from the laptop")
            laptop.client.observeHistoryTransfer().until("the history") { it == null }
            assertEquals(null, laptop.client.historyTransfer())
            assertEquals(listOf("before", "for both", "from the laptop"), laptop.texts(chat))
            assertEquals(listOf("before", "for both", "from the laptop"), ana.texts(chat))
            laptop.client.close()
        }
    }

    @Test
    fun `a device that was not linked says so, and there are two kinds of conversations`() = test {
        Pair.meet {
            val laptop = Device.loggedIn(node, "ana")
            assertEquals(chat, laptop.client.openDirect(bo.user()))
            val refused = failure<ChasquiException.NotLinked> { laptop.client.sendText(chat, "no") }
            assertEquals("not_linked" to false, refused.code to refused.isRetryable)
            val readable = laptop.client.openDirectAs(bo.user(), Protection.NODE_READABLE)
            assertNotEquals(chat, readable)
            laptop.client.sendText(readable, "yes")
            for (device in listOf(ana, bo)) device.gets(readable, "yes")
            assertEquals(Protection.NODE_READABLE, bo.client.conversation(readable)!!.protection)
            assertEquals(Protection.END_TO_END, ana.client.conversation(chat)!!.protection)
            assertEquals(chat, ana.client.openDirectAs(bo.user(), Protection.END_TO_END))
            laptop.client.close()
        }
    }

    @Test
    fun `a wrong code or a second thought links nobody`() = test {
        Pair.meet {
            val laptop = Device.loggedIn(node, "ana")
            for (wrong in listOf("", "https://example.org", "chasqui:link:1:AAAA")) {
                assertEquals("invalid", failure<ChasquiException.Invalid> { ana.client.linkDevice(wrong) }.code)
            }
            failure<ChasquiException.Invalid> { ana.client.beginLinking() }
            failure<ChasquiException.Invalid> { ana.client.confirmLinking() }
            val code = laptop.client.beginLinking()
            coroutineScope {
                val number = async { laptop.client.linkingNumber() }
                assertEquals(ana.client.linkDevice(code), number.await())
            }
            coroutineScope {
                val refused = async { failure<ChasquiException.LinkingFailed> { laptop.client.confirmLinking() } }
                ana.client.cancelLinking()
                assertEquals("linking_failed", refused.await().code)
            }
            assertFalse(laptop.client.account()!!.isLinked)
            link(ana, laptop)
            assertTrue(laptop.client.account()!!.isLinked)
            laptop.client.close()
        }
    }

    @Test
    fun `whoever waits for the number keeps nobody waiting, and may stop`() = test {
        Pair.meet {
            val laptop = Device.loggedIn(node, "ana")
            val code = laptop.client.beginLinking()
            coroutineScope {
                val waiting = launch(start = CoroutineStart.UNDISPATCHED) { laptop.client.linkingNumber() }
                assertEquals("ana", laptop.client.account()!!.name)
                assertTrue(waiting.isActive)
                waiting.cancelAndJoin()
                val number = async { laptop.client.linkingNumber() }
                assertEquals(ana.client.linkDevice(code), number.await())
            }
            laptop.client.close()
        }
    }
}
