package interop_test

import (
	"encoding/base64"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"
)

// startAzure starts Azurite, Microsoft's own emulator, which verifies shared
// keys and shared access signatures. It is of 3.35, the last that runs on Node
// 20, and so older than the API version of the SDK.
func startAzure(t *testing.T) bucket {
	t.Helper()
	account, key := "gantry", base64.StdEncoding.EncodeToString([]byte("not-a-secret-of-anyone"))
	addr := address(t, start(t, map[string]string{"AZURITE_ACCOUNTS": account + ":" + key},
		"node", "js/node_modules/azurite/dist/src/blob/main.js", "--location", t.TempDir(), "--blobHost", "127.0.0.1", "--blobPort", "0",
		"--disableTelemetry", "--skipApiVersionCheck", "--silent"))
	cred, err := azblob.NewSharedKeyCredential(account, key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := azblob.NewClientWithSharedKeyCredential("http://"+addr+"/"+account, cred, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateContainer(t.Context(), "uploads", nil); err != nil {
		t.Fatal(err)
	}
	return bucket{
		url: "azblob://uploads?protocol=http&localemu=true&domain=" + addr,
		env: map[string]string{"AZURE_STORAGE_ACCOUNT": account, "AZURE_STORAGE_KEY": key},
	}
}
