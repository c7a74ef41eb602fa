package interop_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob"

	"avalo.app/gantry/api"
	"avalo.app/gantry/internal/gantrytest"
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
		env: map[string]string{"AZURE_STORAGE_ACCOUNT": account, "AZURE_STORAGE_KEY": key}, addr: addr,
	}
}

// TestPresignAzureWithoutKey: an account that Gantry holds a shared access
// signature for, and not the key, cannot presign, which no retry changes.
func TestPresignAzureWithoutKey(t *testing.T) {
	p := gantrytest.Start(t, gantrytest.Options{Binary: binary, Config: "media: {bucket: \"azblob://uploads?protocol=http&domain=127.0.0.1:1\"}\n",
		Env: map[string]string{"AZURE_STORAGE_ACCOUNT": "gantry", "AZURE_STORAGE_SAS_TOKEN": "sig=x", "AZURE_STORAGE_PROTOCOL": "http", "AZURE_STORAGE_DOMAIN": "127.0.0.1:1"}})
	a := p.Do(t, "POST", "/v1/media/uploads/presign", api.MediaMetadata{Filename: "photo.jpg", MIMEType: "image/jpeg", Size: 1000, UserID: "ann"})
	if a.Status != http.StatusConflict || !strings.Contains(string(a.Body), "AZURE_STORAGE_KEY") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
